/**
 * Shares that the user has itself: in Protocol 2 its own one, in Protocol 1 t of them, out of the boxes that are sealed to it. Their layers
 * are taken off here, without any provider.
 */
import { lagrangeCoefficients } from "../../field/index.ts";
import { coefficientOf, type RoundDescriptor } from "../../rounds/descriptor.ts";
import { type LayerOptions, layer } from "../../rounds/layer.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { originPlacement, type Placement } from "../placement.ts";
import { boxedPoints, openBox, requireDealt, type SeedShare, sealShare } from "../share-boxes.ts";
import type { CustodyUser } from "./user.ts";

/** What the owner opens to read a deposit of Protocol 1. @throws IntercloudError WRONG_BOX. */
export function openBoxes(user: CustodyUser, placement: Placement, boxes: readonly Uint8Array[]): SeedShare[] {
  return boxedPoints(placement.manifest).map((point, i) => openBox(user.userKey, placement, point, boxes[i]!));
}

/** Opens each box and holds the share in it against what the dealer signed, before anything depends on it. @throws IntercloudError WRONG_BOX. */
export async function openCheckedBoxes(
  user: CustodyUser,
  placement: Placement,
  boxes: readonly Uint8Array[],
): Promise<SeedShare[]> {
  const shares = openBoxes(user, placement, boxes);
  for (const share of shares) await requireDealt(placement, share, user.tools.keystream);
  return shares;
}

/**
 * What goes into the closing request of a deposit of Protocol 1: the providers' boxes, looked into, and one of our own.
 * @param given by each provider in turn @throws IntercloudError WRONG_BOX that names the provider.
 */
export async function checkedBoxes(
  user: CustodyUser,
  terms: DepositTerms,
  { userSeed }: { readonly userSeed: Uint8Array },
  given: readonly (Uint8Array | null)[],
): Promise<Uint8Array[]> {
  const placement = originPlacement(terms, null);
  const { manifest, roster } = placement;
  const boxes = boxedPoints(manifest).map((point) => {
    if (point > roster.length) return ownBox(user, manifest, { point, seed: userSeed });
    const box = given[point - 1];
    if (box != null) return box;
    const message = "a provider did not seal its share to us";
    throw new IntercloudError("WRONG_BOX", "integrity", message, { peers: [roster[point - 1]!] });
  });
  for (const { seed } of await openCheckedBoxes(user, placement, boxes)) seed.fill(0);
  return boxes;
}

export function ownBox(user: CustodyUser, manifest: Placement["manifest"], share: SeedShare): Uint8Array {
  return sealShare(user.userKey.publicKey, manifest, share, user.entropy);
}

type Transform = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

/** Takes the masks of a round off, and the layers of the user's own shares. */
export function unmasked(
  user: CustodyUser,
  descriptor: RoundDescriptor,
  own: readonly SeedShare[],
  maskKeys: readonly Uint8Array[],
): Transform {
  const points = own.map(({ point }) => point);
  const alone = descriptor.kind === "fetch" ? lagrangeCoefficients(points) : undefined;
  const layers = own.map(({ point, seed }, i): LayerOptions["share"] => ({
    share: { point, seed, correction: undefined },
    coefficient: alone?.[i] ?? coefficientOf(descriptor, point),
  }));
  const { offsetBytes } = descriptor;
  const [first, ...others] = layers;
  const outer = layer({ ...user.tools, share: first, maskKeys, offsetBytes });
  const inner = others.map((share) => layer({ ...user.tools, share, maskKeys: [], offsetBytes }));
  return (source) => inner.reduce((bytes, transform) => transform(bytes), outer(source));
}
