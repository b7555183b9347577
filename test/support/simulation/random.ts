/** Randomness of a simulation: all of it follows from one number, and each part draws from a stream of its own, so that leaving one part out changes no other. */
import { digestOf } from "../../../protocols/crypto/digest.ts";
import type { Entropy } from "../../../protocols/crypto/entropy.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";

export interface Random {
  readonly bytes: Entropy;
  /** A whole number from 0 to below that. */
  below(limit: number): number;
  /** A whole number, both ends included. */
  between(least: number, most: number): number;
  chance(share: number): boolean;
  pick<T>(values: readonly T[]): T;
  /** All of them, in another order. */
  shuffled<T>(values: readonly T[]): T[];
}

const REFILL_BYTES = 1024;

/** @param label whose it is */
export function createRandom(seed: number, label: string): Random {
  const stream = aesKeystream(digestOf("intercloud/simulation", Buffer.from(`${seed} ${label}`)), 0);
  let pool: Uint8Array = new Uint8Array();
  let used = 0;

  const take = (lengthBytes: number): Uint8Array => {
    if (lengthBytes > REFILL_BYTES / 2) return stream.xor(new Uint8Array(lengthBytes));
    if (used + lengthBytes > pool.length) {
      pool = stream.xor(new Uint8Array(REFILL_BYTES));
      used = 0;
    }
    used += lengthBytes;
    return pool.slice(used - lengthBytes, used);
  };
  const below = (limit: number) => Math.floor((Buffer.from(take(4)).readUInt32BE(0) / 2 ** 32) * limit);
  return {
    bytes: take,
    below,
    between: (least, most) => least + below(most - least + 1),
    chance: (share) => below(1_000_000) < share * 1_000_000,
    pick: (values) => values[below(values.length)]!,
    shuffled: (values) => {
      const left = [...values];
      return values.map(() => left.splice(below(left.length), 1)[0]!);
    },
  };
}
