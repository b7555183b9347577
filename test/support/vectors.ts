/** Vectors from files under `test/vectors`, each of which names its source. */
import { readFileSync } from "node:fs";
import path from "node:path";

const FOLDER = path.resolve(import.meta.dirname, "../vectors");

/** @param file such as `ed25519/rfc8032-7.1` */
export function loadVectors<T>(file: string): T {
  return JSON.parse(readFileSync(path.join(FOLDER, `${file}.json`), "utf8")) as T;
}

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A copy with one bit flipped. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}
