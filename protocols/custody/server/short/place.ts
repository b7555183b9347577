/**
 * A short deposit takes three messages to each provider. `place`: what it is, and for the keepers the owner's masked message; the
 * providers give their masked layers to all keepers at once. `link` and `seal` follow. Each keeper adds up for itself.
 */
import { bodyDigest } from "../../../crypto/block-digest.ts";
import { coefficientOf } from "../../../rounds/descriptor.ts";
import { layer } from "../../../rounds/layer.ts";
import { roundKeys } from "../../../rounds/masks.ts";
import { whole } from "../../../rounds/whole.ts";
import { zeros } from "../../../rounds/zeros.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Context } from "../../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL, MAX_SHORT_BYTES, SHORT_DEPOSIT_LIFETIME_MS } from "../../constants.ts";
import { type DepositTerms, keepers } from "../../deposit-terms.ts";
import { placePartShape, placeShape } from "../../messages.ts";
import type { ActiveDeposits } from "../active.ts";
import { allOrFirstCause } from "../all-or-first-cause.ts";
import { bindDeposit } from "../bind.ts";
import { burnUnsealed } from "../burn.ts";
import { type OwnShare, ownMember, ownShare } from "../fingerprints.ts";
import type { CustodyProvider } from "../provider.ts";
import type { ShortDeposits } from "./short-deposits.ts";

/** From the owner, to all providers. */
export async function place(
  provider: CustodyProvider,
  active: ActiveDeposits,
  shorts: ShortDeposits,
  body: CborValue,
  context: Context,
): Promise<CborValue> {
  const { masked, ...bound } = parseShape(placeShape, body, "place");
  const check = (terms: DepositTerms) => requireShort(provider, terms, masked);
  const { terms, box } = await bindDeposit(provider, bound, context, check);
  const { tokenId } = terms;
  try {
    const { ownPart, own } = await partOf(provider, terms);
    const given = givePart(provider, terms, ownPart);
    const ended = Promise.withResolvers<void>();
    shorts.begin({ terms, masked: masked ?? undefined, ownPart, own, given, onEnd: ended.resolve });
    waitForLink(provider, active, shorts, tokenId, ended.promise).catch(() => {}); // what was not burnt now is burnt by the sweep
    return { digestOut: bodyDigest(ownPart), box };
  } catch (error) {
    await burnUnsealed(provider, tokenId, "failed");
    throw error;
  }
}

/** From the other providers, at each keeper. */
export function receivePart(
  provider: CustodyProvider,
  shorts: ShortDeposits,
  body: CborValue,
  { from }: Context,
): CborValue {
  const { tokenId, part } = parseShape(placePartShape, body, "part");
  if (provider.agreementKeyOf(from) === undefined) {
    throw new IntercloudError("NOT_YOUR_STEP", "refused", "only providers of our federation have a part in a deposit");
  }
  shorts.addPart(tokenId, from, part);
  return {};
}

function requireShort(provider: CustodyProvider, terms: DepositTerms, masked: Uint8Array | null): void {
  const { token, descriptor } = terms;
  const isKeeper = keepers(terms).includes(provider.transport.peer);
  const { lengthBytes } = descriptor;
  const fits = isKeeper ? masked?.length === lengthBytes : masked === null;
  if (fits && token.route === "fanout" && lengthBytes <= MAX_SHORT_BYTES) return;
  throw new IntercloudError("TERMS_DISAGREE", "bad-request", "this is not what a provider needs for a short deposit");
}

async function partOf(
  provider: CustodyProvider,
  terms: DepositTerms,
): Promise<{ readonly ownPart: Uint8Array; readonly own: OwnShare }> {
  const { descriptor, roundHash } = terms;
  const share = await ownShare(provider, terms);
  const member = ownMember(provider, terms);
  const { mask, report } = roundKeys(provider.agreementKey, descriptor.userKey, member, roundHash);
  const coefficient = coefficientOf(descriptor, member.point);
  const transform = layer({ ...provider.tools, share: { share, coefficient }, maskKeys: [mask], offsetBytes: 0 });
  const ownPart = await whole(transform(zeros(descriptor.lengthBytes)));
  return { ownPart, own: { share, reportKey: report, lengthBytes: descriptor.lengthBytes } };
}

/** Settles when every keeper has it; a failure is met by whoever awaits it. */
function givePart(provider: CustodyProvider, terms: DepositTerms, part: Uint8Array): Promise<void> {
  const { transport } = provider;
  const { tokenId } = terms;
  const others = keepers(terms).filter((peer) => peer !== transport.peer);
  const given = allOrFirstCause(
    others.map(async (peer) => {
      try {
        const options = { timeoutMs: ASK_TIMEOUT_MS };
        await transport.ask(peer, CUSTODY_PROTOCOL, "place-part", { tokenId, part }, options);
      } catch (cause) {
        const text = "a keeper did not take our part";
        throw new IntercloudError("PART_NOT_TAKEN", "unreachable", text, { peers: [peer] }, cause);
      }
    }),
  );
  given.catch(() => {});
  return given;
}

/** A short deposit that the owner does not have linked in time, or abandons, is burnt. */
async function waitForLink(
  provider: CustodyProvider,
  active: ActiveDeposits,
  shorts: ShortDeposits,
  tokenId: Uint8Array,
  ended: Promise<void>,
): Promise<void> {
  let isLinked = true;
  const giveUp = () => {
    isLinked = false;
    shorts.end(tokenId);
  };
  const disarm = provider.clock.after(SHORT_DEPOSIT_LIFETIME_MS, giveUp);
  const never = new AbortController().signal;
  await active.run(tokenId, "place", never, async (abandoned) => {
    abandoned.addEventListener("abort", giveUp, { once: true });
    await ended;
  });
  disarm();
  if (!isLinked) await burnUnsealed(provider, tokenId, "failed");
}
