/**
 * Reads and writes what nearly all of our messages and records consist of: short deterministic CBOR of whole numbers, ASCII text, bytes,
 * lists and maps. A provider does that some hundred times for each deposit, and here it takes a fraction of the time that cborg takes.
 * Whatever is not so plain, or is wrong, is left to cborg (codec.ts): what is taken here is taken there, and comes to the same.
 */
import type { CborValue } from "./codec.ts";

/** Deeper than any message of ours. */
const MAX_DEPTH = 16;
/** Longer ones are rare, and most of their time is that of copying. */
const MAX_PLAIN_BYTES = 16 * 1024;

const NOT_PLAIN = new Error("left to cborg");

/** Undefined when it is not plain: it may be right or wrong then. Byte strings are copies. */
export function decodePlain(encoded: Uint8Array): CborValue | undefined {
  // Not a Buffer, whose pieces would be views and take longer to make.
  input = new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.length);
  at = 0;
  try {
    const value = readValue(0);
    return at === input.length ? value : undefined;
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  } finally {
    input = NOTHING;
  }
}

/** New bytes; undefined when the value is not plain. */
export function encodePlain(value: CborValue): Uint8Array | undefined {
  at = 0;
  try {
    write(value, 0);
    return new Uint8Array(output.subarray(0, at));
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  } finally {
    output.fill(0, 0, at); // some of it is secret
  }
}

const NOTHING = new Uint8Array();
const output = Buffer.alloc(MAX_PLAIN_BYTES);
let input: Uint8Array = NOTHING;
/** Where we are in the one that is used. Nothing else runs meanwhile. */
let at = 0;

const [NUMBER, NEGATIVE, BYTES, TEXT, LIST, MAP] = [0, 1, 2, 3, 4, 5] as const;
const [FALSE, TRUE, NULL] = [0xf4, 0xf5, 0xf6] as const;

function readValue(depth: number): CborValue {
  const first = input[at++];
  if (first === undefined || depth > MAX_DEPTH) throw NOT_PLAIN;
  switch (first >> 5) {
    case NUMBER:
      return readNumber(first);
    case NEGATIVE:
      return -1 - readNumber(first);
    case BYTES: {
      const start = skip(readNumber(first));
      return input.slice(start, at);
    }
    case TEXT:
      return readText(readNumber(first));
    case LIST:
      return readList(readNumber(first), depth);
    case MAP:
      return readMap(readNumber(first), depth);
  }
  if (first === NULL) return null;
  if (first === TRUE || first === FALSE) return first === TRUE;
  throw NOT_PLAIN;
}

/** What a head says, in the shortest of its forms. */
function readNumber(first: number): number {
  const short = first & 0x1f;
  if (short < 24) return short;
  if (short > 27) throw NOT_PLAIN;
  const lengthBytes = 1 << (short - 24);
  let value = 0;
  for (let i = skip(lengthBytes); i < at; i += 1) value = value * 256 + input[i]!;
  const least = short === 24 ? 24 : 256 ** (lengthBytes / 2);
  if (value < least || value >= Number.MAX_SAFE_INTEGER) throw NOT_PLAIN;
  return value;
}

/** @returns where they began. */
function skip(lengthBytes: number): number {
  const start = at;
  at += lengthBytes;
  if (at > input.length) throw NOT_PLAIN;
  return start;
}

/** The names of fields come again and again: they are not made anew, and V8 finds the field of a name that it knows at once. */
const names: string[] = [];
const MAX_NAMES = 1024;
const MAX_NAME_LENGTH = 24;

function readText(lengthBytes: number): string {
  const start = skip(lengthBytes);
  let hash = lengthBytes;
  for (let i = start; i < at; i += 1) {
    const code = input[i]!;
    if (code > 0x7f) throw NOT_PLAIN;
    hash = (hash * 31 + code) | 0;
  }
  if (lengthBytes > MAX_NAME_LENGTH) return textAt(start);
  const place = hash & (MAX_NAMES - 1);
  const known = names[place];
  if (known?.length === lengthBytes && isAt(known, start)) return known;
  const read = textAt(start);
  names[place] = read;
  return read;
}

/** Of ASCII, up to where we are. */
function textAt(start: number): string {
  return Buffer.from(input.buffer, input.byteOffset, input.length).toString("latin1", start, at);
}

function isAt(known: string, start: number): boolean {
  for (let i = 0; i < known.length; i += 1) if (known.charCodeAt(i) !== input[start + i]) return false;
  return true;
}

function readList(length: number, depth: number): CborValue[] {
  const list: CborValue[] = [];
  for (let i = 0; i < length; i += 1) list.push(readValue(depth + 1));
  return list;
}

function readMap(length: number, depth: number): CborValue {
  const map: Record<string, CborValue> = {};
  let before: string | undefined;
  for (let i = 0; i < length; i += 1) {
    const first = input[at++];
    if (first === undefined || first >> 5 !== TEXT) throw NOT_PLAIN;
    const key = readText(readNumber(first));
    if (key === "__proto__" || (before !== undefined && !isBefore(before, key))) throw NOT_PLAIN;
    map[key] = readValue(depth + 1);
    before = key;
  }
  return map;
}

/** The order of keys (RFC 8949, section 4.2.1): of their encodings, which begin with their lengths. */
function isBefore(key: string, other: string): boolean {
  return key.length === other.length ? key < other : key.length < other.length;
}

function write(value: CborValue, depth: number): void {
  if (depth > MAX_DEPTH) throw NOT_PLAIN;
  if (typeof value === "string") writeText(value);
  else if (typeof value === "number") writeWhole(value);
  else if (value === null) writeByte(NULL);
  else if (typeof value === "boolean") writeByte(value ? TRUE : FALSE);
  else if (value instanceof Uint8Array) {
    writeHead(BYTES, value.length);
    output.set(value, room(value.length));
  } else if (Array.isArray(value)) {
    writeHead(LIST, value.length);
    for (const each of value) write(each, depth + 1);
  } else writeMap(value as { readonly [key: string]: CborValue }, depth);
}

function writeMap(map: { readonly [key: string]: CborValue }, depth: number): void {
  if (typeof map !== "object" || Object.getPrototypeOf(map) !== Object.prototype) throw NOT_PLAIN;
  const keys = Object.keys(map);
  for (let i = 1; i < keys.length; i += 1) {
    const key = keys[i]!;
    let place = i;
    for (; place > 0 && isBefore(key, keys[place - 1]!); place -= 1) keys[place] = keys[place - 1]!;
    keys[place] = key;
  }
  writeHead(MAP, keys.length);
  for (const key of keys) {
    writeText(key);
    write(map[key]!, depth + 1);
  }
}

function writeWhole(value: number): void {
  if (!Number.isSafeInteger(value)) throw NOT_PLAIN;
  if (value >= 0) writeHead(NUMBER, value);
  else writeHead(NEGATIVE, -1 - value);
}

function writeText(value: string): void {
  writeHead(TEXT, value.length);
  const start = room(value.length);
  for (let i = 0; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if (code > 0x7f) throw NOT_PLAIN;
    output[start + i] = code;
  }
}

function writeHead(type: number, value: number): void {
  const major = type << 5;
  if (value < 24) writeByte(major | value);
  else if (value < 0x100) output[roomAfter(major | 24, 1)] = value;
  else if (value < 0x1_0000) output.writeUInt16BE(value, roomAfter(major | 25, 2));
  else if (value < 0x1_0000_0000) output.writeUInt32BE(value, roomAfter(major | 26, 4));
  else {
    const start = roomAfter(major | 27, 8);
    output.writeUInt32BE(Math.floor(value / 0x1_0000_0000), start);
    output.writeUInt32BE(value % 0x1_0000_0000, start + 4);
  }
}

function roomAfter(head: number, lengthBytes: number): number {
  writeByte(head);
  return room(lengthBytes);
}

function writeByte(byte: number): void {
  output[room(1)] = byte;
}

/** @returns where there is room for so many bytes more, which are then to be written. */
function room(lengthBytes: number): number {
  if (at + lengthBytes > MAX_PLAIN_BYTES) throw NOT_PLAIN;
  const start = at;
  at += lengthBytes;
  return start;
}
