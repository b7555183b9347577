/** A thief: with a user's request that it was shown, or the tag in it, it asks other providers to read the deposit itself. */
import { newAgreementKey } from "../../protocols/crypto/key-agreement.ts";
import { CUSTODY_PROTOCOL } from "../../protocols/custody/constants.ts";
import { retrieveContentShape } from "../../protocols/custody/messages.ts";
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import { REQUEST_DOMAIN, uncheckedContent } from "../../protocols/identity/request.ts";
import { decodeDescriptor, encodeDescriptor, type RoundDescriptor } from "../../protocols/rounds/descriptor.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../protocols/wire/codec.ts";
import { parseShape } from "../../protocols/wire/shape.ts";
import type { Handlers, PeerName } from "../../protocols/wire/transport.ts";
import { askedDeposit } from "./answers.ts";
import { fieldsOf, isBytes } from "./asked.ts";
import { bent } from "./bend.ts";
import type { Liar, ProviderLie } from "./lie.ts";

type Thief = Liar<CustodyProvider>;

const CALL = { timeoutMs: 5_000 };
const REQUEST_LIFETIME_MS = 60_000;
const NONCE_BYTES = 16;
/** More than a thief needs to know that it was let in. */
const ENOUGH_BYTES = 64 * 1024;

const ASKS = new Set(["read", "show", "grants"]);
const CHANNELS = new Set(["retrieve", "account", "read-envelope"]);

/** What the same request, or one made of its tag, gets from everybody else; nothing, if they do what they should. */
function steals(thief: Thief, made: Handlers): Handlers {
  const { honest, lied, gained } = thief;
  const { transport } = honest;
  const ask = async (to: PeerName, method: string, body: CborValue) => {
    await transport.ask(to, CUSTODY_PROTOCOL, method, body, CALL);
    gained(method);
  };
  const open = async (to: PeerName, method: string, body: CborValue) => {
    const channel = await transport.open(to, CUSTODY_PROTOCOL, method, body, CALL);
    try {
      if (method === "account") {
        await channel.receiveMessage();
        gained(method);
        return;
      }
      for await (const _ of channel.receiveBody({ maxBytes: ENOUGH_BYTES })) {
        gained(method);
        return;
      }
    } finally {
      channel.abort();
    }
  };
  const stealWith = async (method: string, body: CborValue, from: PeerName) => {
    const { request } = fieldsOf(body);
    // in the chain route one member may ask another with the user's request; what another thief asks with is no loot
    if (!isBytes(request) || routeOf(request) === "chain" || honest.agreementKeyOf(from) !== undefined) return;
    const deposit = await askedDeposit(honest.store);
    const others = (deposit?.placement.roster ?? []).filter((peer) => peer !== transport.peer);
    if (others.length === 0) return;
    lied();
    const own = ownRequest(thief, request);
    for (const to of others) {
      // it does not wait for what it gets, and nobody who asks it does
      (ASKS.has(method) ? ask : open)(to, method, body).catch(() => {});
      if (own !== undefined) ask(to, "read", { request: own }).catch(() => {});
    }
  };
  return bent(made, {
    ask: (answer, method) =>
      !ASKS.has(method)
        ? undefined
        : async (body, context) => {
            await stealWith(method, body, context.from);
            return await answer(body, context);
          },
    channel: (answer, method) =>
      !CHANNELS.has(method)
        ? undefined
        : async (channel, header, context) => {
            await stealWith(method, header, context.from);
            await answer(channel, header, context);
          },
  });
}

/** The user's tag with a request that the thief made and signed itself: to read the deposit, with a key of its own. */
function ownRequest({ honest, entropy, clock }: Thief, request: Uint8Array): Uint8Array | undefined {
  const descriptor = descriptorOf(request);
  const { tag } = fieldsOf(decodeCanonical(request));
  if (descriptor === undefined || !isBytes(tag)) return undefined;
  const own = encodeDescriptor({
    ...{ ...descriptor, requester: honest.transport.peer, userKey: newAgreementKey(entropy).publicKey },
    nonce: entropy(descriptor.nonce.length),
  });
  const issuedAtMs = clock.nowMs();
  const times = { issuedAtMs, expiresAtMs: issuedAtMs + REQUEST_LIFETIME_MS };
  const content = { descriptor: own };
  const body = encodeCanonical({ purpose: "retrieve", ...times, nonce: entropy(NONCE_BYTES), content });
  return encodeCanonical({ tag, body, signature: honest.signer.sign(REQUEST_DOMAIN, body) });
}

function routeOf(request: Uint8Array): RoundDescriptor["route"] | undefined {
  return descriptorOf(request)?.route;
}

/** Undefined for a request that is not about a round. */
function descriptorOf(request: Uint8Array): RoundDescriptor | undefined {
  try {
    return decodeDescriptor(parseShape(retrieveContentShape, uncheckedContent(request), "request").descriptor);
  } catch {
    return undefined;
  }
}

export const THEFTS: readonly ProviderLie[] = [
  {
    name: "stolen-tag",
    about: "asks the others with the request, or the tag, of a user that it was shown",
    isAttributable: false,
    begin: (thief) => ({ handlers: (made) => steals(thief, made) }),
  },
];
