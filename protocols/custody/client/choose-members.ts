/** Which of the providers that are ready take part in a round: one with the ciphertext first, then as many as are needed. */
import type { Entropy } from "../../crypto/entropy.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { ReadyProvider } from "./ready-survey.ts";

export function usable(ready: readonly ReadyProvider[], excluded: ReadonlySet<PeerName>): ReadyProvider[] {
  return ready.filter(({ peer }) => !excluded.has(peer));
}

export function isEnough(candidates: readonly ReadyProvider[], count: number): boolean {
  return candidates.length >= count && candidates.some(({ holdsCiphertext }) => holdsCiphertext);
}

/** The ones that answered first. Undefined when they are not enough. */
export function fastestMembers(candidates: readonly ReadyProvider[], count: number): ReadyProvider[] | undefined {
  const keeper = candidates.find(({ holdsCiphertext }) => holdsCiphertext);
  if (keeper === undefined || candidates.length < count) return undefined;
  return [keeper, ...candidates.filter((each) => each !== keeper).slice(0, count - 1)];
}

/** Draws tried before we take it that there is no set of members that was not tried. */
const MAX_DRAWS = 64;

/** A random set that was not tried yet, to get away from whoever gave wrong bytes. Undefined when there is none left. */
export function otherMembers(
  candidates: readonly ReadyProvider[],
  count: number,
  tried: ReadonlySet<string>,
  entropy: Entropy,
): ReadyProvider[] | undefined {
  for (let draw = 0; draw < MAX_DRAWS; draw += 1) {
    const members = fastestMembers(shuffled(candidates, entropy), count);
    if (members === undefined) return undefined;
    if (!tried.has(membersKey(members))) return members;
  }
  return undefined;
}

/** The same for the same keeper and the same others, in any order. */
export function membersKey(members: readonly ReadyProvider[]): string {
  const [keeper, ...others] = members.map(({ peer }) => peer);
  return [keeper, ...others.sort()].join(" ");
}

function shuffled<T>(values: readonly T[], entropy: Entropy): T[] {
  const keyed = values.map((value) => ({ value, key: Buffer.from(entropy(8)).readBigUInt64BE() }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ value }) => value);
}
