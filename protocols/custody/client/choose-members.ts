/** Which of the providers that are ready take part in a round: one with the ciphertext first, then as many as are needed. */
import type { Token } from "../../tokens/token.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { Placement } from "../placement.ts";
import type { ReadyProvider } from "./ready-survey.ts";

export interface Known {
  /** Providers that failed or lied. */
  readonly excluded: ReadonlySet<PeerName>;
  /** Providers whose copy of the ciphertext is not good. */
  readonly withoutCiphertext: ReadonlySet<PeerName>;
  /** Providers that are far behind the others. */
  readonly slow: ReadonlySet<PeerName>;
}

/** In the order in which they answered, the slow ones last. */
export function usable(ready: readonly ReadyProvider[], { excluded, withoutCiphertext, slow }: Known): ReadyProvider[] {
  const known = ready
    .filter(({ peer }) => !excluded.has(peer))
    .map((each) => (withoutCiphertext.has(each.peer) ? { ...each, holdsCiphertext: false } : each));
  return [...known.filter(({ peer }) => !slow.has(peer)), ...known.filter(({ peer }) => slow.has(peer))];
}

export function isEnough(candidates: readonly ReadyProvider[], count: number): boolean {
  return candidates.length >= count && candidates.some(({ holdsCiphertext }) => holdsCiphertext);
}

/** How many providers a round needs: in Protocol 2 the user has a share as well, in Protocol 1 all that it takes but the ciphertext. */
export function neededToRead({ protocol }: Pick<Token, "protocol">, { manifest }: Pick<Placement, "manifest">): number {
  if (protocol === 1) return 1;
  return manifest.threshold - (protocol === 2 ? 1 : 0);
}

/**
 * The ones that answered first, the keeper at the front. Undefined when they are not enough.
 * @param wrongSets sets that are not to be taken again, as `setOf` writes them
 */
export function fastestMembers(
  candidates: readonly ReadyProvider[],
  count: number,
  wrongSets: ReadonlySet<string> = new Set(),
): ReadyProvider[] | undefined {
  const keeper = candidates.find(({ holdsCiphertext }) => holdsCiphertext);
  if (keeper === undefined || candidates.length < count) return undefined;
  const fastest = [keeper, ...candidates.filter((each) => each !== keeper).slice(0, count - 1)];
  if (!wrongSets.has(setOf(fastest))) return fastest;
  for (const members of subsets(candidates, count)) {
    const first = members.find(({ holdsCiphertext }) => holdsCiphertext);
    if (first === undefined || wrongSets.has(setOf(members))) continue;
    return [first, ...members.filter((each) => each !== first)];
  }
  return undefined;
}

/** The same for the same members, whatever their order. */
export function setOf(members: readonly { readonly peer: PeerName }[]): string {
  return members
    .map(({ peer }) => peer)
    .sort()
    .join(" ");
}

function* subsets<T>(values: readonly T[], count: number): Iterable<T[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (let first = 0; first + count <= values.length; first += 1) {
    for (const others of subsets(values.slice(first + 1), count - 1)) yield [values[first]!, ...others];
  }
}
