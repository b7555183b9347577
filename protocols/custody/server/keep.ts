/** Keeping the ciphertext: home stores it, says so, and gives copies to the other keepers before it answers. */
import { equalBytes } from "../../crypto/digest.ts";
import { checkChain } from "../../tokens/chain.ts";
import { type Keeping, readLink, signKeeping } from "../../tokens/link.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { chainExpectation, type DepositTerms, keepers } from "../deposit-terms.ts";
import { copyShape } from "../messages.ts";
import type { ActiveDeposits } from "./active.ts";
import { ciphertextName, loadDeposit } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { advance } from "./sign-own-link.ts";
import { runStep } from "./step.ts";

export interface Received {
  readonly digestFromOwner: Uint8Array;
  readonly digestsReceived: readonly Uint8Array[];
  /** Of the ciphertext, which is on disk already. */
  readonly digest: Uint8Array;
}

/** Written once: a peer that had a part in the deposit must not replace it later. @throws IntercloudError WRONG_STATE. */
export async function storeCiphertext(
  provider: CustodyProvider,
  terms: DepositTerms,
  ciphertext: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { record } = await loadDeposit(provider.store, terms.tokenId);
  if (record.state === "sealed" || record.holdsCiphertext) {
    throw new IntercloudError("WRONG_STATE", "conflict", "we keep the ciphertext of this deposit already");
  }
  await provider.store.bodies.write(ciphertextName(terms.tokenId), ciphertext);
}

/** Closes the chain at home: the statement of what is kept, the copies, the record. Returns what the owner is told. */
export async function keepCiphertext(
  provider: CustodyProvider,
  terms: DepositTerms,
  links: readonly Uint8Array[],
  received: Received,
  signal: AbortSignal,
): Promise<{ readonly links: readonly Uint8Array[]; readonly keeping: Uint8Array }> {
  const statement: Keeping = {
    version: 1,
    tokenId: terms.tokenId,
    peer: provider.transport.peer,
    digestFromOwner: received.digestFromOwner,
    digestsReceived: [...received.digestsReceived],
    digestKept: received.digest,
    previous: readLink(links.at(-1)!).digest,
    timeMs: provider.clock.nowMs(),
  };
  const keeping = signKeeping(statement, provider.signer);
  const others = keepers(terms).slice(1);
  await Promise.all(others.map((peer) => sendCopy(provider, terms, peer, links, keeping, signal)));
  await advance(provider, terms, "linked", (record) => ({
    ...record,
    links: [...links],
    keeping,
    holdsCiphertext: true,
  }));
  return { links, keeping };
}

async function sendCopy(
  provider: CustodyProvider,
  terms: DepositTerms,
  peer: PeerName,
  links: readonly Uint8Array[],
  keeping: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const header = { tokenId: terms.tokenId, links, keeping };
  const channel = await provider.transport.open(peer, CUSTODY_PROTOCOL, "copy", header, {
    timeoutMs: OPEN_TIMEOUT_MS,
    signal,
  });
  const release = abortOn(signal, channel);
  try {
    await channel.sendBody(provider.store.bodies.read(ciphertextName(terms.tokenId), 0));
    await channel.receiveMessage();
    await channel.close();
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    release();
  }
}

/** The other end: a keeper takes a copy from home, when the chain says that these are the bytes. */
export async function receiveCopy(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId, links, keeping } = parseShape(copyShape, header, "copy");
  const { terms } = await loadDeposit(provider.store, tokenId);
  if (context.from !== terms.token.home || !keepers(terms).slice(1).includes(provider.transport.peer)) {
    throw new IntercloudError("NOT_A_KEEPER", "refused", "this deposit has no copy here, or not from this peer");
  }
  const chain = checkChain(chainExpectation(terms), links, keeping);
  if (!chain.valid || chain.keeping === undefined) {
    throw new IntercloudError("CHAIN_BROKEN", "integrity", "the chain that came with the copy is broken", {
      peers: chain.firstBreak?.suspects ?? [],
    });
  }
  const { digestKept } = chain.keeping;
  await runStep({ provider, active, tokenId, name: "copy", channel, context }, async () => {
    const body = channel.receiveBody({ lengthBytes: terms.descriptor.lengthBytes });
    await storeCiphertext(provider, terms, body);
    if (!equalBytes(body.summary().digest, digestKept)) {
      throw new IntercloudError("WRONG_COPY", "integrity", "home sent other bytes than it says it keeps", {
        peers: [terms.token.home],
      });
    }
    await advance(provider, terms, "linked", (record) => ({ ...record, links, keeping, holdsCiphertext: true }));
    provider.observe({ kind: "copied", tokenId });
    await channel.sendMessage({});
  });
}
