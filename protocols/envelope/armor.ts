/** ASCII armor (C2SP age.md, "ASCII armor"): strict PEM. We read it and never write it. */
import { IntercloudError } from "../wire/errors.ts";
import { MAX_LEADING_SPACE_BYTES } from "./constants.ts";
import { notAnAgeFile } from "./errors.ts";
import { type HeadReader, headReader } from "./head-reader.ts";

const BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----";
const END = "-----END AGE ENCRYPTED FILE-----";
const COLUMNS = 64;
/** What a full line holds; a shorter one must be the last. */
const LINE_BYTES = 48;

/** Decoded lines are handed on together; one by one they would cost more than their decoding. */
const LINES_AT_ONCE = 1024;

/** The binary file, whether `file` is armored or not. @throws IntercloudError NOT_AN_AGE_FILE, ARMOR_DAMAGED. */
export async function* withoutArmor(file: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const reader = headReader(file);
  try {
    const first = await reader.peek();
    if (first === undefined || !(isSpace(first) || first === BEGIN.charCodeAt(0))) {
      yield* reader.rest();
      return;
    }
    await skipBegin(reader);
    yield* decodedLines(reader);
    for await (const bytes of reader.rest()) {
      if (!bytes.every(isSpace)) throw damaged("something follows its last line");
    }
  } finally {
    await reader.close();
  }
}

/** White space before the first line is allowed, in lines of its own. */
async function skipBegin(reader: HeadReader): Promise<void> {
  for (let leftBytes = MAX_LEADING_SPACE_BYTES; leftBytes > 0; ) {
    const line = await lineOf(reader, leftBytes);
    if (line === BEGIN) return;
    if (line.trim() !== "") break;
    leftBytes -= line.length + 1;
  }
  throw notAnAgeFile();
}

async function* decodedLines(reader: HeadReader): AsyncIterable<Uint8Array> {
  let decoded: Buffer[] = [];
  let isLast = false;
  for (let line = await lineOf(reader, COLUMNS); line !== END; line = await lineOf(reader, COLUMNS)) {
    const bytes = Buffer.from(line, "base64");
    if (isLast || bytes.length === 0 || bytes.toString("base64") !== line) {
      throw damaged("it is cut short, or a line of it is not right");
    }
    isLast = bytes.length < LINE_BYTES;
    decoded.push(bytes);
    if (decoded.length < LINES_AT_ONCE) continue;
    yield Buffer.concat(decoded);
    decoded = [];
  }
  if (decoded.length > 0) yield Buffer.concat(decoded);
}

/** Ended by LF, CR LF or the end of the file. What is longer than it may be is cut, and then is no line that we know. */
async function lineOf(reader: HeadReader, maxBytes: number): Promise<string> {
  const line = (await reader.line(maxBytes + 1)) ?? (await reader.take(maxBytes + 2));
  return line.toString("latin1").replace(/\r$/, "");
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function damaged(why: string): IntercloudError {
  return new IntercloudError("ARMOR_DAMAGED", "integrity", `the armor of this age file is damaged: ${why}`);
}
