/**
 * The fanout route of a deposit: home receives the user's masked message, takes every other provider's masked layer at once,
 * and adds them up. The providers sign in parallel; each link names the statement before it.
 */
import { pipe } from "it-pipe";
import { digestTap } from "../../crypto/block-digest.ts";
import { sum } from "../../rounds/sum.ts";
import { zeros } from "../../rounds/zeros.ts";
import { isLinkOf } from "../../tokens/link.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { fanoutStatements } from "../fanout-statements.ts";
import { depositHeaderShape, linkShape, statementShape } from "../messages.ts";
import type { ActiveDeposits } from "./active.ts";
import { loadDeposit } from "./deposit-record.ts";
import { type KeptChain, storeCiphertext } from "./keep.ts";
import { ownLayer } from "./own-layer.ts";
import type { CustodyProvider } from "./provider.ts";
import { requireTrue, signOwnLink } from "./sign-own-link.ts";
import { runStep } from "./step.ts";

/** At home, from the user. */
export async function collect(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId } = parseShape(depositHeaderShape, header, "collect");
  const { terms, record } = await loadDeposit(provider.store, tokenId);
  const isHome = terms.token.home === provider.transport.peer && terms.token.route === "fanout";
  if (!isHome || context.from !== terms.descriptor.requester || record.state !== "bound") throw notYourStep();
  await runStep({ provider, active, tokenId, name: "collect", channel, context }, async (signal) => {
    const parts: Channel[] = [];
    try {
      await openParts(provider, terms, signal, parts);
      await channel.sendMessage({ ...(await addUp(provider, terms, channel, parts, signal)) });
      await Promise.all(parts.map((each) => each.close()));
    } catch (error) {
      for (const each of parts) each?.abort(error);
      throw error;
    }
  });
}

/** Fills `parts` with channels to all other providers, in point order; also when some cannot be opened. */
async function openParts(
  provider: CustodyProvider,
  terms: DepositTerms,
  signal: AbortSignal,
  parts: Channel[],
): Promise<void> {
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const opening = terms.roster.slice(1).map(async (peer, i) => {
    const part = await provider.transport.open(peer, CUSTODY_PROTOCOL, "part", { tokenId: terms.tokenId }, options);
    parts[i] = part;
    abortOn(signal, part);
  });
  const failed = (await Promise.allSettled(opening)).find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function addUp(
  provider: CustodyProvider,
  terms: DepositTerms,
  channel: Channel,
  parts: readonly Channel[],
  signal: AbortSignal,
): Promise<KeptChain> {
  const { lengthBytes } = terms.descriptor;
  const fromOwner = channel.receiveBody({ lengthBytes });
  const bodies = parts.map((part) => part.receiveBody({ lengthBytes }));
  const transform = await ownLayer(provider, terms.descriptor, terms.roundHash);
  const [ownTap, keptTap] = [digestTap(), digestTap()];
  const ownPart = ownTap.through(transform(zeros(lengthBytes)));
  const ciphertext = keptTap.through(sum(fromOwner, [ownPart, ...bodies], provider.tools.kernel));
  const stored = await storeCiphertext(provider, terms, ciphertext, signal);

  try {
    const digestsReceived = [ownTap.digest(), ...bodies.map((body) => body.summary().digest)];
    const links = await signAll(provider, terms, digestsReceived, parts);
    const digestFromOwner = fromOwner.summary().digest;
    return await stored.keep(links, { digestFromOwner, digestsReceived, digest: keptTap.digest() });
  } catch (error) {
    stored.giveUp(error);
    throw error;
  }
}

/** Our link and everybody else's, in order. */
async function signAll(
  provider: CustodyProvider,
  terms: DepositTerms,
  digestsOut: readonly Uint8Array[],
  parts: readonly Channel[],
): Promise<Uint8Array[]> {
  const statements = fanoutStatements(terms, digestsOut, provider.clock.nowMs());
  const ownLink = await signOwnLink(provider, terms, statements[0]!);
  const otherLinks = await Promise.all(
    parts.map(async (part, i) => {
      const statement = statements[i + 1]!;
      await part.sendMessage({ statement });
      const answer = await part.receiveMessage();
      const { link } = readAnswer(part.peer, "part", () => parseShape(linkShape, answer, "link"));
      // the other keepers would take a chain that breaks for ours
      if (!isLinkOf(statement, link)) throw wrongLink(part.peer);
      return link;
    }),
  );
  return [ownLink, ...otherLinks];
}

/** At every other provider, from home: our masked layer, and then our signature on it. */
export async function part(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId } = parseShape(depositHeaderShape, header, "part");
  const { terms, record } = await loadDeposit(provider.store, tokenId);
  if (context.from !== terms.token.home || terms.token.route !== "fanout" || record.state !== "bound") {
    throw notYourStep();
  }
  await runStep({ provider, active, tokenId, name: "part", channel, context }, async () => {
    const transform = await ownLayer(provider, terms.descriptor, terms.roundHash);
    const sent = await pipe(zeros(terms.descriptor.lengthBytes), transform, (source: AsyncIterable<Uint8Array>) =>
      channel.sendBody(source),
    );
    const { statement } = parseShape(statementShape, await channel.receiveMessage(), "statement");
    requireTrue(provider, terms, statement, sent.digest, terms.token.home);
    await channel.sendMessage({ link: await signOwnLink(provider, terms, statement) });
  });
}

function wrongLink(peer: PeerName): IntercloudError {
  const text = "a provider did not sign the statement that it was asked to";
  return new IntercloudError("CHAIN_BROKEN", "integrity", text, { peers: [peer] });
}

function notYourStep(): IntercloudError {
  return new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no such step in this deposit");
}
