/**
 * The owner's side of a short deposit, up to its sealing: everybody is told and gives its layer to the keepers, then everybody signs.
 * One round trip each.
 */
import { bodyDigest } from "../../crypto/block-digest.ts";
import type { FreshDeal } from "../../dealing/client.ts";
import { coefficientOf, type Route } from "../../rounds/descriptor.ts";
import { layer } from "../../rounds/layer.ts";
import { whole } from "../../rounds/whole.ts";
import { isLinkOf, statementDigest } from "../../tokens/link.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { MAX_SHORT_BYTES, SEAL_TIMEOUT_MS } from "../constants.ts";
import { type DepositTerms, keepers } from "../deposit-terms.ts";
import { fanoutStatements } from "../fanout-statements.ts";
import { type Fingerprints, linkAnswerShape, placeAnswerShape, type Received } from "../messages.ts";
import type { Checking, LayeredMessage } from "./check-layers.ts";
import { needAll } from "./need-all.ts";
import type { Offer } from "./offer.ts";
import type { CustodyUser } from "./user.ts";

export interface Poured {
  readonly links: readonly Uint8Array[];
  readonly keeping: Uint8Array;
  /** Of each provider in turn: its share sealed to us (Protocol 1), if it is a seed. */
  readonly boxes: readonly (Uint8Array | null)[];
  readonly digestFromOwner: Uint8Array;
  readonly checking: Checking;
  /** What each provider in turn said for the challenge, under a mask. */
  readonly fingerprints: readonly Fingerprints[];
  /** What the keepers of a short deposit besides home received; null of all others. */
  readonly received: readonly (Received | null)[];
}

export function isShort({ token, descriptor }: DepositTerms): boolean {
  return isShortRound(token.route, descriptor.lengthBytes);
}

/** @param lengthBytes of what is layered */
export function isShortRound(route: Route, lengthBytes: number): boolean {
  return route === "fanout" && lengthBytes <= MAX_SHORT_BYTES;
}

/** Everybody is told; what is returned has everybody sign. */
export async function place(
  user: CustodyUser,
  { terms, request, manifest, maskKeys }: Offer,
  deal: FreshDeal,
  message: LayeredMessage,
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<(signal: AbortSignal) => Promise<Poured>> {
  const { roster, tokenId } = terms;
  const point = roster.length + 1;
  const share = { point, seed: deal.userSeed, correction: undefined };
  const coefficient = coefficientOf(terms.descriptor, point);
  const ownLayer = layer({ ...user.tools, share: { share, coefficient }, maskKeys, offsetBytes: 0 });
  const masked = await whole(ownLayer(message.source));
  const keeping = keepers(terms);

  const parts = await needAll(
    ...([user, terms, "place"] as const),
    (peer) => ({ request, manifest, masked: keeping.includes(peer) ? masked : null }),
    { timeoutMs, signal },
    (answer) => parseShape(placeAnswerShape, answer, "place"),
  );
  const digestsOut = parts.map(({ digestOut }) => digestOut);
  return async (either) => {
    const statements = fanoutStatements(terms, digestsOut, user.clock.nowMs());
    const last = statementDigest(statements.at(-1)!);
    const checking = message.checking();
    const { challenge } = checking;
    const answers = await needAll(
      ...([user, terms, "link"] as const),
      (peer) => ({ tokenId, statement: statements[roster.indexOf(peer)]!, last, challenge }),
      { timeoutMs: SEAL_TIMEOUT_MS, signal: either },
      (answer) => parseShape(linkAnswerShape, answer, "link"),
    );
    requireLinks(user, roster, statements, answers);
    const [home] = answers;
    if (!home?.keeping) {
      const text = "home does not say what it keeps";
      throw new IntercloudError("CHAIN_BROKEN", "integrity", text, { peers: [terms.token.home] });
    }
    const links = answers.map(({ link }) => link);
    const boxes = parts.map(({ box }) => box);
    const fingerprints = answers.map((answer) => answer.fingerprints);
    const received = answers.map((answer) => answer.received);
    const digestFromOwner = bodyDigest(masked);
    return { links, keeping: home.keeping, boxes, digestFromOwner, checking, fingerprints, received };
  };
}

/** Who signed something else is at fault; the chain alone would break at the one after it. */
function requireLinks(
  { directory }: CustodyUser,
  roster: readonly PeerName[],
  statements: readonly Uint8Array[],
  answers: readonly { readonly link: Uint8Array }[],
): void {
  const peers = roster.filter((_, i) => !isLinkOf(statements[i]!, answers[i]!.link));
  if (peers.length === 0) return;
  const names = peers.map((peer) => directory.nameOf(peer)).join(", ");
  const text = `${names} did not sign the statement that it was asked to; nothing was kept`;
  throw new IntercloudError("CHAIN_BROKEN", "integrity", text, { peers });
}
