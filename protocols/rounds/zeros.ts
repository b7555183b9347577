/** About what a channel hands out at a time; larger chunks are cut. The masks of a step stay in the second-level cache. */
export const STEP_BYTES = 64 * 1024;

/** Never changed. */
export const ZEROS: Uint8Array = new Uint8Array(STEP_BYTES);

/** What a member that receives nothing feeds into its layer: `lengthBytes` zeros, in steps. Not to be changed. */
export async function* zeros(lengthBytes: number): AsyncIterable<Uint8Array> {
  for (let done = 0; done < lengthBytes; done += STEP_BYTES) yield ZEROS.subarray(0, lengthBytes - done);
}
