/** Which of the providers that are ready take part in a round: one with the ciphertext first, then as many as are needed. */
import type { PeerName } from "../../wire/transport.ts";
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

/** The ones that answered first. Undefined when they are not enough. */
export function fastestMembers(candidates: readonly ReadyProvider[], count: number): ReadyProvider[] | undefined {
  const keeper = candidates.find(({ holdsCiphertext }) => holdsCiphertext);
  if (keeper === undefined || candidates.length < count) return undefined;
  return [keeper, ...candidates.filter((each) => each !== keeper).slice(0, count - 1)];
}
