/** Keeping the ciphertext: home stores it, says so, and gives copies to the other keepers before it answers. */
import { equalBytes } from "../../crypto/digest.ts";
import { checkChain } from "../../tokens/chain.ts";
import { readLink } from "../../tokens/link.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { chainExpectation, type DepositTerms, keepers } from "../deposit-terms.ts";
import { chainShape, depositHeaderShape, type Received } from "../messages.ts";
import type { ActiveDeposits } from "./active.ts";
import { allOrFirstCause } from "./all-or-first-cause.ts";
import { ciphertextName, loadDeposit } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { advance, ownKeeping } from "./sign-own-link.ts";
import { runStep } from "./step.ts";
import { tee } from "./tee.ts";

export interface KeptChain {
  readonly links: readonly Uint8Array[];
  readonly keeping: Uint8Array;
}

/** The ciphertext is on disk at home and has been sent to the other keepers, who do not count it yet. */
export interface StoredCiphertext {
  /** Closes the chain at home: the statement of what is kept, the copies, the record. Returns what the owner is told. */
  keep(links: readonly Uint8Array[], received: Received): Promise<KeptChain>;
  /** Ends the channels to the other keepers. */
  giveUp(reason: unknown): void;
}

/** Stores the ciphertext at home and sends it on to the other keepers while it comes. */
export async function storeCiphertext(
  provider: CustodyProvider,
  terms: DepositTerms,
  ciphertext: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<StoredCiphertext> {
  await requireNotKept(provider, terms);
  const copies: Channel[] = [];
  const giveUp = (reason: unknown) => {
    for (const copy of copies) copy?.abort(reason);
  };
  try {
    await openCopies(provider, terms, signal, copies);
    const [own, ...others] = tee(ciphertext, 1 + copies.length);
    const writing = provider.store.bodies.write(ciphertextName(terms.tokenId), own!);
    await allOrFirstCause([writing, ...copies.map((copy, i) => copy.sendBody(others[i]!))]);
  } catch (error) {
    giveUp(error);
    throw error;
  }
  return {
    giveUp,
    async keep(links, received) {
      const chain = { links, keeping: ownKeeping(provider, terms, readLink(links.at(-1)!).digest, received) };
      await Promise.all(
        copies.map(async (copy) => {
          await copy.sendMessage(chain);
          await copy.receiveMessage();
          await copy.close();
        }),
      );
      await advance(provider, terms, "linked", "kept", (record) => ({
        ...record,
        links: [...links],
        keeping: chain.keeping,
        holdsCiphertext: true,
      }));
      return chain;
    },
  };
}

/** A peer that had a part in the deposit must not replace its ciphertext later. @throws IntercloudError WRONG_STATE. */
async function requireNotKept(provider: CustodyProvider, terms: DepositTerms): Promise<void> {
  const { record } = await loadDeposit(provider.store, terms.tokenId);
  if (record.state !== "sealed" && !record.holdsCiphertext) return;
  throw new IntercloudError("WRONG_STATE", "conflict", "we keep the ciphertext of this deposit already");
}

/** Fills `copies` with channels to the other keepers, also when some cannot be opened. */
async function openCopies(
  provider: CustodyProvider,
  terms: DepositTerms,
  signal: AbortSignal,
  copies: Channel[],
): Promise<void> {
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const opening = keepers(terms)
    .slice(1)
    .map(async (peer, i) => {
      const copy = await provider.transport.open(peer, CUSTODY_PROTOCOL, "copy", { tokenId: terms.tokenId }, options);
      copies[i] = copy;
      abortOn(signal, copy);
    });
  await allOrFirstCause(opening);
}

/** The other end: a keeper takes a copy from home, and counts it when the chain says that these are the bytes. */
export async function receiveCopy(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId } = parseShape(depositHeaderShape, header, "copy");
  const { terms } = await loadDeposit(provider.store, tokenId);
  if (context.from !== terms.token.home || !keepers(terms).slice(1).includes(provider.transport.peer)) {
    throw new IntercloudError("NOT_A_KEEPER", "refused", "this deposit has no copy here, or not from this peer");
  }
  await runStep({ provider, active, tokenId, name: "copy", channel, context }, async () => {
    await requireNotKept(provider, terms);
    const body = channel.receiveBody({ lengthBytes: terms.descriptor.lengthBytes });
    await provider.store.bodies.write(ciphertextName(tokenId), body);
    const { links, keeping } = parseShape(chainShape, await channel.receiveMessage(), "chain");
    const chain = checkChain(chainExpectation(terms), links, keeping);
    const digestKept = chain.keeping?.digestKept ?? new Uint8Array();
    if (!chain.valid || !equalBytes(body.summary().digest, digestKept)) {
      throw new IntercloudError("WRONG_COPY", "integrity", "home sent other bytes than the chain says it keeps", {
        peers: [terms.token.home],
      });
    }
    const copied = { links, keeping, holdsCiphertext: true };
    await advance(provider, terms, "linked", "copied", (record) => ({ ...record, ...copied }));
    provider.observe({ kind: "copied", tokenId });
    await channel.sendMessage({});
  });
}
