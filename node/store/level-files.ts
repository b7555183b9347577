/**
 * Checks LevelDB's table files before LevelDB reads them. It writes a checksum with every block and does not look at it when
 * it reads: a flipped bit then gives wrong values, hides a record from `get` only, or trips an assertion that ends the process.
 * Format: https://github.com/google/leveldb/blob/main/doc/table_format.md and log_format.md.
 *
 * Only tables that the MANIFEST names are checked. A process that was killed may leave others behind, half written; LevelDB
 * removes them. Damage of the MANIFEST, CURRENT and the logs is found by LevelDB itself or by the count of all records.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode, unlessMissing } from "./errors.ts";

/**
 * The name of the first table that does not check.
 * @param checked names of tables that were found sound earlier, which is added to: a table is never changed once it is written.
 */
export async function findDamagedTable(directory: string, checked: Set<string>): Promise<string | undefined> {
  const live = await liveTables(directory);
  for (const name of (await unlessMissing(readdir(directory))) ?? []) {
    const number = /^(\d+)\.(ldb|sst)$/.exec(name)?.[1];
    if (number === undefined || !live.has(Number(number)) || checked.has(name)) continue;
    const table = await unlessMissing(readFile(join(directory, name)));
    if (table === undefined) continue;
    if (!isSoundTable(table)) return name;
    checked.add(name);
  }
  return undefined;
}

/** Numbers of the tables that make up the database. As far as the MANIFEST can be read; the rest is LevelDB's to refuse. */
async function liveTables(directory: string): Promise<Set<number>> {
  const live = new Set<number>();
  try {
    const manifest = (await readFile(join(directory, "CURRENT"), "utf8")).trim();
    if (!/^MANIFEST-\d+$/.test(manifest)) return live;
    for (const record of logRecords(await readFile(join(directory, manifest)))) applyEdit(record, live);
  } catch (error) {
    if (systemCode(error) !== "ENOENT" && !(error instanceof RangeError)) throw error;
  }
  return live;
}

const LOG_BLOCK_BYTES = 32 * 1024;
const LOG_HEADER_BYTES = 7;
const FULL = 1;
const FIRST = 2;
const LAST = 4;

/** The records of a file in LevelDB's log format, up to the first that does not check. */
function* logRecords(file: Buffer): Generator<Buffer> {
  let parts: Buffer[] = [];
  for (let at = 0; at + LOG_HEADER_BYTES <= file.length; ) {
    const leftInBlock = LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES);
    if (leftInBlock < LOG_HEADER_BYTES) {
      at += leftInBlock;
      continue;
    }
    const type = file.readUInt8(at + 6);
    const end = at + LOG_HEADER_BYTES + file.readUInt16LE(at + 4);
    if (end > file.length || maskedCrc(file.subarray(at + 6, end)) !== file.readUInt32LE(at)) return;
    if (type === FULL || type === FIRST) parts = [];
    parts.push(file.subarray(at + LOG_HEADER_BYTES, end));
    if (type === FULL || type === LAST) yield Buffer.concat(parts);
    at = end;
  }
}

/** One change of the set of tables; the numbers are the tags of LevelDB's VersionEdit. */
function applyEdit(record: Buffer, live: Set<number>): void {
  const reader = new Reader(record);
  while (!reader.atEnd()) {
    const tag = reader.varint();
    if (tag === 1)
      reader.skipBytes(); // comparator
    else if (tag === 5) {
      reader.varint(); // compaction pointer: level, key
      reader.skipBytes();
    } else if (tag === 6) {
      reader.varint(); // deleted table: level, number
      live.delete(reader.varint());
    } else if (tag === 7) {
      reader.varint(); // new table: level, number, size, smallest key, largest key
      live.add(reader.varint());
      reader.varint();
      reader.skipBytes();
      reader.skipBytes();
    } else reader.varint(); // log number, next file number, last sequence, previous log number
  }
}

const FOOTER_BYTES = 48;
const TABLE_MAGIC = 0xdb4775248b80fb57n;
/** Compression type (1) and checksum (4) behind each block. */
const BLOCK_TRAILER_BYTES = 5;

function isSoundTable(file: Buffer): boolean {
  if (file.length < FOOTER_BYTES) return false;
  if (file.readBigUInt64LE(file.length - 8) !== TABLE_MAGIC) return false;
  try {
    const footer = new Reader(file.subarray(file.length - FOOTER_BYTES));
    const metaIndex = checkedBlock(file, footer);
    const index = checkedBlock(file, footer);
    for (const block of [metaIndex, index])
      for (const handle of blockValues(block)) checkedBlock(file, new Reader(handle));
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** The block that a handle (offset, length) points to. @throws RangeError when it is not inside the file or does not check. */
function checkedBlock(file: Buffer, handle: Reader): Buffer {
  const start = handle.varint();
  const end = start + handle.varint();
  if (end + BLOCK_TRAILER_BYTES > file.length) throw new RangeError("a block outside of the file");
  if (maskedCrc(file.subarray(start, end + 1)) !== file.readUInt32LE(end + 1)) throw new RangeError("a wrong checksum");
  // The index blocks of a table of ours are not compressed: the setting is off (records.ts).
  if (file.readUInt8(end) !== 0) throw new RangeError("a compressed block");
  return file.subarray(start, end);
}

/** A block's entries are (shared key bytes, other key bytes, value bytes, key, value), then come the restart points. */
function* blockValues(block: Buffer): Generator<Buffer> {
  const restarts = block.readUInt32LE(block.length - 4);
  const reader = new Reader(block.subarray(0, block.length - 4 * (restarts + 1)));
  while (!reader.atEnd()) {
    reader.varint();
    const keyBytes = reader.varint();
    const valueBytes = reader.varint();
    reader.take(keyBytes);
    yield reader.take(valueBytes);
  }
}

/** Reads LevelDB's variable-length integers. @throws RangeError behind the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  take(lengthBytes: number): Buffer {
    const end = this.#at + lengthBytes;
    if (end > this.#bytes.length) throw new RangeError("behind the end");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  skipBytes(): void {
    this.take(this.varint());
  }
}

// CRC-32C (Castagnoli), reflected, as LevelDB computes and masks it. Four bytes at a time, with a table for each (Sarwate's
// table and its three successors): one at a time is a quarter as fast, which is a second for each 300 MB at every start.
const CRC_TABLES = new Int32Array(4 * 256);
for (let index = 0; index < 256; index++) {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  CRC_TABLES[index] = value;
}
for (let index = 256; index < 4 * 256; index++) {
  const before = CRC_TABLES[index - 256]!;
  CRC_TABLES[index] = (before >>> 8) ^ CRC_TABLES[before & 255]!;
}

function maskedCrc(bytes: Buffer): number {
  let crc = -1;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= bytes.readInt32LE(at);
    crc =
      CRC_TABLES[768 + (crc & 255)]! ^
      CRC_TABLES[512 + ((crc >>> 8) & 255)]! ^
      CRC_TABLES[256 + ((crc >>> 16) & 255)]! ^
      CRC_TABLES[crc >>> 24]!;
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ CRC_TABLES[(crc ^ bytes[at]!) & 255]!;
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
