/**
 * What deposits and retrievals of keys are held against: as many request-responses between the same peers, over the same control
 * streams, each signed by who asks and checked by who answers, and otherwise empty.
 */
import * as v from "valibot";
import type { Entropy } from "../../protocols/crypto/entropy.ts";
import { checkRequest, signRequest } from "../../protocols/identity/request.ts";
import type { Session } from "../../protocols/identity/tag.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import { boundedBytes, parseShape, text } from "../../protocols/wire/shape.ts";
import type { Handlers, PeerName, Transport } from "../../protocols/wire/transport.ts";
import { systemEntropy } from "../../runtime/entropy.ts";
import { BENCH_PROTOCOL } from "./forward-only.ts";

const LIFETIME_MS = 60_000;
const CALL = { timeoutMs: 60_000 };

const signedShape = v.strictObject({
  request: boundedBytes(4096),
  /** To whom the asked peer sends one, too. */
  to: v.array(text(64)),
});

export function signedHandlers(transport: Transport, session: () => Session): Handlers {
  const sign = () => signed(session(), systemEntropy);
  return {
    asks: {
      async signed(body) {
        const { request, to } = parseShape(signedShape, body, "signed");
        checkRequest(request, "retrieve", Date.now());
        await Promise.all(to.map((peer) => ask(transport, peer, sign(), [])));
        return {};
      },
    },
  };
}

export function signed(session: Session, entropy: Entropy): Uint8Array {
  return signRequest({
    ...{ session, entropy, purpose: "retrieve", nowMs: Date.now(), lifetimeMs: LIFETIME_MS },
    content: {},
  });
}

export function ask(
  transport: Transport,
  peer: PeerName,
  request: Uint8Array,
  to: readonly PeerName[],
): Promise<CborValue> {
  return transport.ask(peer, BENCH_PROTOCOL, "signed", { request, to: [...to] }, CALL);
}
