/**
 * The header of an age file (C2SP age.md, "Header"): who can open it, each in a stanza that wraps the file key in its own way.
 *
 *   age-encryption.org/v1
 *   -> <type> <argument> ...
 *   <body in base64, 64 columns; the last line is shorter, if need be empty>
 *   --- <HMAC-SHA256 of all up to the three dashes>
 */
import { createHmac } from "node:crypto";
import { equalBytes } from "../crypto/digest.ts";
import { deriveKey } from "../crypto/key-agreement.ts";
import { IntercloudError } from "../wire/errors.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { MAX_HEADER_BYTES } from "./constants.ts";
import { headerDamaged, notAnAgeFile } from "./errors.ts";
import type { HeadReader } from "./head-reader.ts";

const VERSION_PREFIX = "age-encryption.org/";
const VERSION_LINE = `${VERSION_PREFIX}v1`;
const MAC_MARK = "---";
const COLUMNS = 64;

export interface Stanza {
  /** Of printable characters without a space; the first one is the type. */
  readonly arguments: readonly string[];
  readonly body: Uint8Array;
}

export interface Header {
  readonly stanzas: readonly Stanza[];
  /** All of it, as it was read. */
  readonly bytes: Uint8Array;
  /** Whether nobody changed it since it was made with this file key. */
  isOf(fileKey: Uint8Array): boolean;
}

export function encodeHeader(stanzas: readonly Stanza[], fileKey: Uint8Array): Uint8Array {
  const text = `${VERSION_LINE}\n${stanzas.map(stanzaText).join("")}${MAC_MARK}`;
  return Buffer.from(`${text} ${encodeBase64(headerMac(fileKey, text))}\n`, "latin1");
}

/** Reads up to and including the line with the MAC. @throws IntercloudError NOT_AN_AGE_FILE, AGE_VERSION, HEADER_DAMAGED. */
export async function readHeader(reader: HeadReader): Promise<Header> {
  await readVersion(reader);
  let text = `${VERSION_LINE}\n`;
  const stanzas: Stanza[] = [];
  const nextLine = async (): Promise<string> => {
    const line = (await reader.line(MAX_HEADER_BYTES - text.length))?.toString("latin1");
    if (line === undefined) throw headerDamaged("it is cut short, or longer than any header");
    text += `${line}\n`;
    return line;
  };
  for (;;) {
    const line = await nextLine();
    if (line.startsWith(MAC_MARK)) {
      const mac = macOf(line);
      if (stanzas.length === 0) throw headerDamaged("nobody is named who could open the file");
      const signed = text.slice(0, -(line.length + 1 - MAC_MARK.length));
      const bytes = Buffer.from(text, "latin1");
      return { stanzas, bytes, isOf: (fileKey) => equalBytes(headerMac(fileKey, signed), mac) };
    }
    if (!/^->( [\x21-\x7e]+)+$/.test(line)) throw headerDamaged("a line of it is not right");
    stanzas.push({ arguments: line.split(" ").slice(1), body: await readBody(nextLine) });
  }
}

async function readVersion(reader: HeadReader): Promise<void> {
  const line = (await reader.line(MAX_VERSION_BYTES))?.toString("latin1");
  if (line === VERSION_LINE) return;
  if (line === undefined || !line.startsWith(VERSION_PREFIX)) throw notAnAgeFile();
  if (line === `${VERSION_LINE}\r`) throw headerDamaged("its line ends were changed, as a transfer in text mode does");
  const message =
    "this is an age file of another version than v1, the only one that this program knows; get a newer program";
  throw new IntercloudError("AGE_VERSION", "bad-request", message);
}

async function readBody(nextLine: () => Promise<string>): Promise<Uint8Array> {
  const lines: Uint8Array[] = [];
  for (;;) {
    const line = await nextLine();
    const bytes = line.length > COLUMNS ? undefined : decodeBase64(line);
    if (bytes === undefined) throw headerDamaged("a line of it is not right");
    lines.push(bytes);
    if (line.length < COLUMNS) return new Uint8Array(Buffer.concat(lines));
  }
}

function macOf(line: string): Uint8Array {
  const [mark, text = "", ...more] = line.split(" ");
  const mac = decodeBase64(text);
  if (mark === MAC_MARK && more.length === 0 && mac?.length === MAC_BYTES) return mac;
  throw headerDamaged("its last line is not right");
}

function stanzaText({ arguments: words, body }: Stanza): string {
  const text = encodeBase64(body);
  const lines: string[] = [];
  for (let start = 0; start <= text.length; start += COLUMNS) lines.push(text.slice(start, start + COLUMNS));
  return `-> ${words.join(" ")}\n${lines.join("\n")}\n`;
}

function headerMac(fileKey: Uint8Array, text: string): Uint8Array {
  const key = deriveKey(fileKey, new Uint8Array(), "header");
  try {
    return createHmac("sha256", key).update(text, "latin1").digest();
  } finally {
    key.fill(0);
  }
}

const MAC_BYTES = 32;
/** The longest that is worth reading to tell an age file of another version from something else. */
const MAX_VERSION_BYTES = 128;
