/**
 * A member's part in a round, as a transform of the bytes that pass: XOR `coefficient * share` and the masks.
 * A provider has its share and one mask; the user has a mask for each provider and, where the protocol says so, its share.
 */
import type { Keystream } from "../crypto/keystream.ts";
import type { FieldKernel } from "../field/index.ts";
import { exactReader } from "./exact-reader.ts";
import type { Share } from "./share.ts";

/** Enough for any chunk that a channel hands out; larger ones are cut. */
const MAX_STEP_BYTES = 256 * 1024;
const ZEROS = new Uint8Array(MAX_STEP_BYTES);

/** Passed in, so that the secrecy audit can drive this very code with unit vectors. */
export interface RoundTools {
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
}

export interface LayerOptions extends RoundTools {
  readonly share: { readonly share: Share; readonly coefficient: number } | undefined;
  readonly maskKeys: readonly Uint8Array[];
  /** Where in the layered message the passing bytes begin. */
  readonly offsetBytes: number;
}

/** The transform; composes with it-pipe. Input chunks belong to it. */
export function layer(options: LayerOptions): (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array> {
  return async function* (source) {
    const masks = options.maskKeys.map((key) => options.keystream(key, options.offsetBytes));
    const own = options.share === undefined ? undefined : openShare(options.share.share, options);
    const coefficient = options.share?.coefficient ?? 0;
    try {
      for await (const chunk of source) {
        for (let start = 0; start < chunk.length; start += MAX_STEP_BYTES) {
          let bytes: Uint8Array = chunk.subarray(start, start + MAX_STEP_BYTES);
          for (const mask of masks) bytes = mask.xor(bytes);
          if (own !== undefined) {
            const shareBytes = await own.read(bytes.length);
            options.kernel.addScaled(bytes, shareBytes, coefficient);
            shareBytes.fill(0);
          }
          yield bytes;
        }
      }
    } finally {
      await own?.close();
    }
  };
}

/** What a member that receives nothing feeds into its layer: `lengthBytes` zeros, in steps. */
export async function* zeros(lengthBytes: number): AsyncIterable<Uint8Array> {
  const stepBytes = 64 * 1024;
  for (let done = 0; done < lengthBytes; done += stepBytes)
    yield new Uint8Array(Math.min(stepBytes, lengthBytes - done));
}

interface ShareReader {
  read(lengthBytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

function openShare(share: Share, options: LayerOptions): ShareReader {
  const expanded = options.keystream(share.seed, options.offsetBytes);
  if (share.correction === undefined) {
    return { read: async (lengthBytes) => expanded.xor(ZEROS.subarray(0, lengthBytes)), close: async () => {} };
  }
  const correction = exactReader(share.correction(options.offsetBytes));
  return {
    read: async (lengthBytes) => expanded.xor(await correction.read(lengthBytes)),
    close: () => correction.close(),
  };
}
