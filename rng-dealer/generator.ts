/**
 * Random bytes for the dealer, from one or more sources that are XORed, so that one good source is enough. Small draws come
 * from a pool, because a seed of 32 bytes costs much less that way; what was handed out is overwritten in the pool.
 */
import type { Entropy } from "../protocols/crypto/entropy.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { Source } from "./sources/source.ts";

/** 128 seeds from one call of the source. */
const POOL_BYTES = 4096;
/** Larger draws gain nothing from the pool. */
const MAX_POOLED_BYTES = 256;
/** Enough that two equal draws, or an empty one, can only mean a broken source. */
const PROBE_BYTES = 64;

export interface Generator {
  /** @throws IntercloudError NO_ENTROPY when no source works. */
  readonly draw: Entropy;
  /** The names of the sources that work. None means that `draw` refuses. */
  healthySources(): readonly string[];
  /** Overwrites the pool and refuses from then on. */
  close(): void;
}

/**
 * Tests every source once; those that fail are left out.
 * @param onDrop is told the name of each source that is left out, now or later: an operator has to look.
 */
export function createGenerator(sources: readonly Source[], onDrop: (source: string) => void = () => {}): Generator {
  let healthy = sources.filter(passesProbe);
  for (const source of sources) if (!healthy.includes(source)) onDrop(source.name);
  const pool = new Uint8Array(POOL_BYTES);
  const sourceBytes = new Uint8Array(POOL_BYTES);
  let poolUsedBytes = POOL_BYTES;

  /** XORs all sources into `target`. A source that fails is dropped for good: it does not come back half broken. */
  function fill(target: Uint8Array): void {
    target.fill(0);
    const scratch =
      target.length <= POOL_BYTES ? sourceBytes.subarray(0, target.length) : new Uint8Array(target.length);
    for (const source of healthy) {
      try {
        source.fill(scratch);
      } catch {
        healthy = healthy.filter((each) => each !== source);
        onDrop(source.name);
        continue;
      }
      for (let at = 0; at < target.length; at++) target[at] = (target[at] as number) ^ (scratch[at] as number);
    }
    scratch.fill(0);
    if (healthy.length === 0) {
      target.fill(0);
      throw noEntropy();
    }
  }

  function draw(lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    if (lengthBytes > MAX_POOLED_BYTES) {
      fill(bytes);
    } else {
      if (poolUsedBytes + lengthBytes > POOL_BYTES) {
        poolUsedBytes = POOL_BYTES;
        fill(pool);
        poolUsedBytes = 0;
      }
      const taken = pool.subarray(poolUsedBytes, poolUsedBytes + lengthBytes);
      bytes.set(taken);
      taken.fill(0);
      poolUsedBytes += lengthBytes;
    }
    return bytes;
  }

  return {
    draw,
    healthySources: () => healthy.map(({ name }) => name),
    close() {
      healthy = [];
      pool.fill(0);
      poolUsedBytes = POOL_BYTES;
    },
  };
}

/** The start-up test: the source answers, and neither with nothing nor twice with the same. */
function passesProbe(source: Source): boolean {
  const first = new Uint8Array(PROBE_BYTES);
  const second = new Uint8Array(PROBE_BYTES);
  try {
    source.fill(first);
    source.fill(second);
  } catch {
    return false;
  }
  return first.some((byte) => byte !== 0) && Buffer.compare(first, second) !== 0;
}

function noEntropy(): IntercloudError {
  return new IntercloudError(
    "NO_ENTROPY",
    "internal",
    "no source of randomness works, so nothing is dealt; look at /readyz and repair the sources",
  );
}
