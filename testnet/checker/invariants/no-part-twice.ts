import { liarsOf } from "../faults.ts";
import type { Invariant } from "../invariant.ts";

/** Shorter ones may be the same by chance. */
const LEAST_BYTES = 16;

export const noPartTwice: Invariant = {
  name: "no-part-twice",
  about:
    "What an honest provider gives away in a round is never the same twice, as it would be without a mask of its own in each.",
  check: (history) => {
    const seen = new Set<string>();
    const liars = liarsOf(history);
    return (history.parts ?? []).flatMap(({ peer, lengthBytes, digest }) => {
      if (lengthBytes < LEAST_BYTES || liars.has(peer)) return [];
      const isTwice = seen.has(digest);
      seen.add(digest);
      return isTwice ? [{ text: `${peer} gave the same ${lengthBytes} bytes in two rounds`, operations: [] }] : [];
    });
  },
};
