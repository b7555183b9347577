/** What the user hears when a retrieval cannot go on. */
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS } from "../constants.ts";
import { allows } from "../grants.ts";
import { keepersOf } from "../placement.ts";
import { clockError } from "./clock-error.ts";
import { destroyedError } from "./destroyed.ts";
import { type FoundProof, grantExpired } from "./find-proof.ts";
import type { ReadyProvider } from "./ready-survey.ts";
import type { Run } from "./retrieve.ts";
import { askStanding } from "./standing.ts";
import { type CustodyUser, notEnough, overloaded } from "./user.ts";

export function requireChain(user: CustodyUser, proof: FoundProof["proof"]): void {
  const broken = proof.chain.firstBreak;
  if (broken === undefined) return;
  const names = broken.suspects.map((peer) => user.directory.nameOf(peer)).join(" or ");
  const message = `the chain of this deposit breaks at link ${broken.index}: ${broken.problem} (${names})`;
  throw new IntercloudError("CHAIN_BROKEN", "integrity", message, { peers: broken.suspects });
}

/** When so many providers refuse to serve us that the others cannot be enough, whoever else comes back; all that keep the ciphertext are such. */
export async function refused({
  user,
  placement,
  grant,
  count,
  refusals,
  signal,
}: Run): Promise<IntercloudError | undefined> {
  const { roster } = placement;
  const refuses = (peer: PeerName) => refusals.some((refusal) => refusal.peer === peer);
  if (roster.length - refusals.length >= count && !keepersOf(placement).every(refuses)) return undefined;
  const clock = await clockError(user, refusals, signal);
  if (clock !== undefined) return clock;
  const cause = refusals[0]?.error;
  const expired = refusals.find(({ error }) => error instanceof IntercloudError && error.status === "expired");
  if (expired !== undefined) return grantExpired(expired.error);
  const [code, why] =
    grant !== null && !allows(grant, "retrieve")
      ? [
          "GRANT_PURPOSE",
          "the owner's grant lets this identity see the deposit, not get it; ask for one to retrieve it",
        ]
      : ["NOT_THE_OWNER", "this identity does not own the deposit, and its grant was revoked or has not reached them"];
  const message = `${refusals.length} of ${roster.length} providers refuse: ${why}`;
  return new IntercloudError(code, "refused", message, {}, cause);
}

/** When the owner asks for what it has destroyed at some providers, it should hear that rather than that they are missing. */
export async function destroyedMeanwhile(run: Run): Promise<IntercloudError | undefined> {
  const { user, token, tokenId, survey, excluded, signal } = run;
  if (token.owner !== user.session.identity) return undefined;
  const peers = new Set([...survey.without, ...excluded]);
  const { destroyed } = await askStanding(user, { token, tokenId }, [...peers], { timeoutMs: ASK_TIMEOUT_MS, signal });
  return destroyed.size > 0 ? destroyedError([...destroyed.values()]) : undefined;
}

/** When there would be enough, if those that have too much to do had not. */
export function tooBusy(
  { placement, count, survey }: Run,
  candidates: readonly ReadyProvider[],
): IntercloudError | undefined {
  const busy = placement.roster.filter((peer) => survey.busy.has(peer));
  const isKept = [...candidates.filter(({ holdsCiphertext }) => holdsCiphertext).map(({ peer }) => peer), ...busy];
  const enough = candidates.length + busy.length >= count && keepersOf(placement).some((peer) => isKept.includes(peer));
  return busy.length > 0 && enough ? overloaded(busy.map((peer) => survey.busy.get(peer)!)) : undefined;
}

export function tooFew(run: Run, candidates: readonly ReadyProvider[]): IntercloudError {
  const { user, placement, count } = run;
  if (run.named.size > 0) return tooManyLiars(run, candidates);
  const missing = placement.roster.filter((peer) => !candidates.some((each) => each.peer === peer));
  if (candidates.length >= count) {
    const message =
      "enough providers answered, but none of those that keep the ciphertext; try again when one of them is up";
    const details = { answered: candidates.length, needed: count, peers: keepersOf(placement) };
    return new IntercloudError("NO_CIPHERTEXT", "unreachable", message, details);
  }
  return notEnough(user, candidates.length, count, missing);
}

function tooManyLiars({ user, named, count }: Run, candidates: readonly ReadyProvider[]): IntercloudError {
  const names = [...named].map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    `${names} lied or lost what they should keep, and the ${candidates.length} others that answered are not enough ` +
    `(${count} are needed, one of them with the ciphertext); nothing wrong was handed over. Try again when others are up`;
  return new IntercloudError("WRONG_BYTES", "integrity", message, { peers: [...named] });
}

export function wrongDeal({ user }: Run, dealer: PeerName): IntercloudError {
  const message =
    `the dealer ${user.directory.nameOf(dealer)} dealt shares that do not belong together, so the message cannot be read; ` +
    "the evidence shows it to anybody";
  return new IntercloudError("WRONG_DEAL", "integrity", message, { peers: [dealer] });
}

export function wrongDeposit({ user, placement }: Run): IntercloudError {
  const names = placement.roster.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    "every provider answered as its share and the kept ciphertext say, and they do not make what the token names: " +
    `one of ${names} laid another layer when the deposit was made. Nothing wrong was handed over`;
  return new IntercloudError("WRONG_BYTES", "integrity", message, { peers: placement.roster });
}
