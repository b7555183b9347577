/**
 * A member's part in a round, as a transform of the bytes that pass: XOR `coefficient * share` and the masks.
 * A provider has its share and one mask; the user has a mask for each provider and, where the protocol says so, its share.
 */
import type { Keystream, KeystreamReader } from "../crypto/keystream.ts";
import { release, releasePassed, wipe } from "../crypto/release.ts";
import type { FieldKernel } from "../field/index.ts";
import { exactReader } from "./exact-reader.ts";
import type { Share } from "./share.ts";
import { STEP_BYTES, ZEROS } from "./zeros.ts";

/** Passed in, so that the secrecy audit can drive this very code with unit vectors. */
export interface RoundTools {
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
}

export interface LayerOptions extends RoundTools {
  readonly share: { readonly share: Share; readonly coefficient: number } | undefined;
  /** Of this round alone: they are wiped as soon as the transform begins. */
  readonly maskKeys: readonly Uint8Array[];
  /** Where in the layered message the passing bytes begin. */
  readonly offsetBytes: number;
}

/** The transform; composes with it-pipe. Its input is not changed. */
export function layer(options: LayerOptions): (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array> {
  return async function* (source) {
    const masks = options.maskKeys.map((key) => options.keystream(key, options.offsetBytes));
    for (const key of options.maskKeys) key.fill(0);
    const own = options.share === undefined ? undefined : openShare(options.share, options);
    try {
      for await (const chunk of source) {
        for (let start = 0; start < chunk.length; start += STEP_BYTES) {
          const bytes = masked(chunk.subarray(start, start + STEP_BYTES), masks);
          await own?.addTo(bytes);
          yield bytes;
        }
        releasePassed(chunk);
      }
    } finally {
      await own?.close();
    }
  };
}

/** New bytes. */
function masked(input: Uint8Array, [first, ...others]: readonly KeystreamReader[]): Uint8Array {
  if (first === undefined) return new Uint8Array(input);
  let bytes = first.xor(input);
  for (const mask of others) {
    const before = bytes;
    bytes = mask.xor(before);
    release(before);
  }
  return bytes;
}

interface ShareAdder {
  /** Adds the next bytes of `coefficient * share`. */
  addTo(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

function openShare({ share, coefficient }: NonNullable<LayerOptions["share"]>, options: LayerOptions): ShareAdder {
  const expanded = options.keystream(share.seed, options.offsetBytes);
  const add = (bytes: Uint8Array, correction: Uint8Array) => {
    const shareBytes = expanded.xor(correction);
    options.kernel.addScaled(bytes, shareBytes, coefficient);
    wipe(shareBytes);
  };
  if (share.correction === undefined) {
    return { addTo: async (bytes) => add(bytes, ZEROS.subarray(0, bytes.length)), close: async () => {} };
  }
  const correction = exactReader(share.correction(options.offsetBytes));
  return {
    async addTo(bytes) {
      // piece by piece as they are stored: putting them together would be one more copy of everything
      for (let done = 0; done < bytes.length; ) {
        const piece = await correction.readSome(bytes.length - done);
        add(bytes.subarray(done, done + piece.length), piece);
        done += piece.length;
        releasePassed(piece);
      }
    },
    close: () => correction.close(),
  };
}
