/** How many long free shares are hashed at a time for users that deal for themselves: such a share costs them nothing, and us a while. */
import { IntercloudError } from "../wire/errors.ts";
import { MAX_INLINE_CORRECTION_BYTES, MAX_SELF_DEALT_HASHES } from "./constants.ts";

export interface HashRoom {
  /** Short ones are not counted. @throws IntercloudError BUSY, before `hash` is called. */
  run<T>(lengthBytes: number, hash: () => Promise<T>): Promise<T>;
}

export function createHashRoom(): HashRoom {
  let taken = 0;
  return {
    run(lengthBytes, hash) {
      if (lengthBytes <= MAX_INLINE_CORRECTION_BYTES) return hash();
      if (taken >= MAX_SELF_DEALT_HASHES) {
        const message = "we hash as many shares for users that deal for themselves as we do at a time; try again soon";
        throw new IntercloudError("BUSY", "busy", message, { retryAfterMs: 1_000 });
      }
      taken += 1;
      const hashed = hash();
      const ended = () => {
        taken -= 1;
      };
      hashed.then(ended, ended);
      return hashed;
    },
  };
}
