/** What the writer stores under a number, so that whoever opens the store later can tell that it is right. */
import { createHash } from "node:crypto";
import type { Change } from "../../../protocols/storage/index.ts";

export const STORE_KEY = new Uint8Array(32).fill(9);

export function valueFor(number: number): Uint8Array {
  return createHash("sha512").update(`${number}`).digest();
}

/** Two records and an event of one commit: all or none. */
export function recordsOf(number: number): Change[] {
  const value = valueFor(number);
  return [
    { kind: "put", key: `left/${number}`, value },
    { kind: "put", key: `right/${number}`, value },
    { kind: "append", event: valueFor(number) },
  ];
}

export const BODY_BYTES = 300_000;

export const bodyName = (number: number): string => number.toString(16);

export async function* bodyOf(number: number): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(BODY_BYTES, valueFor(number));
}
