/** Getting an envelope that we are to keep, from another provider that does. */
import { equalBytes } from "../../crypto/digest.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import type { KeptEnvelope } from "../kept-envelope.ts";
import { envelopeName } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";

export interface EnvelopeFetch {
  readonly tokenId: Uint8Array;
  /** As the owner signed for it. */
  readonly envelope: KeptEnvelope;
  /** Who has it. */
  readonly keepers: readonly PeerName[];
  readonly method: "repair-envelope" | "change-envelope";
  readonly header: CborValue;
}

/**
 * It is on disk when this resolves, from the first keeper whose bytes are the ones that the owner signed for.
 * @throws IntercloudError NO_ENVELOPE that names those who gave others; nothing is left on disk then.
 */
export async function fetchEnvelope(
  provider: CustodyProvider,
  fetch: EnvelopeFetch,
  signal: AbortSignal,
): Promise<void> {
  const others = fetch.keepers.filter((peer) => peer !== provider.transport.peer);
  const wrong: PeerName[] = [];
  let last: unknown;
  for (const peer of others) {
    try {
      if (await fetchFrom(provider, peer, fetch, signal)) return;
      wrong.push(peer);
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  await provider.store.bodies.remove(envelopeName(fetch.tokenId));
  const text = "no other provider has a good copy of the envelope; try again when those that keep it are up";
  const status = wrong.length > 0 ? "integrity" : "unreachable";
  throw new IntercloudError("NO_ENVELOPE", status, text, { peers: wrong.length > 0 ? wrong : others }, last);
}

async function fetchFrom(
  provider: CustodyProvider,
  peer: PeerName,
  { tokenId, envelope, method, header }: EnvelopeFetch,
  signal: AbortSignal,
): Promise<boolean> {
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await provider.transport.open(peer, CUSTODY_PROTOCOL, method, header, options);
  const release = abortOn(signal, channel);
  try {
    const body = channel.receiveBody({ lengthBytes: envelope.lengthBytes });
    await provider.store.bodies.write(envelopeName(tokenId), body);
    await channel.close();
    return equalBytes(body.summary().digest, envelope.digest);
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    release();
  }
}
