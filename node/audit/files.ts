/**
 * What leaves a node about its audit log, as JSON:
 *
 *   head (a receipt)   one object; only `head`, the signed bytes, counts, the rest is what it says, for people
 *   export             the same object in its first line, and in each further line one entry as a string
 *   disclosure         one entry and the key of its event
 *
 * Bytes are base64 when they are long and hexadecimal when people may want to compare them.
 */
import { open } from "node:fs/promises";
import * as v from "valibot";
import { eventKeyOf, readEntry, readSignedHead } from "../../protocols/audit/index.ts";
import { notAFile } from "./errors.ts";

const HEAD_FORMAT = "intercloud-audit-head";
const EXPORT_FORMAT = "intercloud-audit-export";
const DISCLOSURE_FORMAT = "intercloud-audit-disclosure";

/** A disclosure of the longest entry is 6 KB; of an export only the first line is read here. */
const MAX_TEXT_BYTES = 64 * 1024;

export interface HeadFile {
  readonly format: string;
  readonly version: 1;
  readonly peer: string;
  readonly log: string;
  readonly count: number;
  readonly hash: string;
  /** ISO 8601. */
  readonly time: string;
  readonly head: string;
}

export interface Disclosure {
  readonly entry: Uint8Array;
  readonly eventKey: Uint8Array;
}

const base64 = v.pipe(
  v.string(),
  v.check((text) => toBase64(Buffer.from(text, "base64")) === text, "not base64"),
  v.transform((text) => new Uint8Array(Buffer.from(text, "base64"))),
);
const headShape = v.object({ format: v.picklist([HEAD_FORMAT, EXPORT_FORMAT]), version: v.literal(1), head: base64 });
const disclosureShape = v.object({
  ...{ format: v.literal(DISCLOSURE_FORMAT), version: v.literal(1) },
  ...{ entry: base64, eventKey: base64 },
});

export function headFileOf(signedHead: Uint8Array, format: string = HEAD_FORMAT): HeadFile {
  const { peer, log, count, hash, timeMs } = readSignedHead(signedHead).head;
  const shown = { peer, log: toHex(log), count, hash: toHex(hash), time: new Date(timeMs).toISOString() };
  return { format, version: 1, ...shown, head: toBase64(signedHead) };
}

/** The signed head in a receipt, or in the first line of an export; undefined when this value is neither. */
export function signedHeadIn(value: unknown): Uint8Array | undefined {
  const result = v.safeParse(headShape, value);
  return result.success ? result.output.head : undefined;
}

/** @throws IntercloudError NOT_AN_AUDIT_FILE. */
export async function readReceipt(file: string): Promise<Uint8Array> {
  const wanted = "receipt; `intercloud audit head` writes one";
  const text = await readText(file, wanted);
  const head = signedHeadIn(fromJson(text)) ?? signedHeadIn(fromJson(text.slice(0, text.indexOf("\n") + 1)));
  if (head === undefined) throw notAFile(file, wanted);
  try {
    readSignedHead(head);
  } catch (error) {
    throw notAFile(file, wanted, error);
  }
  return head;
}

export async function* exportLines(signedHead: Uint8Array, entries: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const { count } = readSignedHead(signedHead).head;
  yield line(headFileOf(signedHead, EXPORT_FORMAT));
  for await (const entry of entries) {
    // What was logged since the head was signed comes with the next one.
    if ((readEntry(entry)?.sequence ?? 0) > count) return;
    yield line(toBase64(entry));
  }
}

/** An entry as an export or an admin server writes it; no bytes when it is none, which then does not check. */
export function entryOf(text: unknown): Uint8Array {
  const result = v.safeParse(base64, text);
  return result.success ? result.output : new Uint8Array();
}

export function disclosureText(logKey: Uint8Array, entry: Uint8Array): string {
  const eventKey = eventKeyOf(logKey, readEntry(entry)?.eventId ?? new Uint8Array());
  const shown = { sequence: readEntry(entry)?.sequence, entry: toBase64(entry), eventKey: toBase64(eventKey) };
  eventKey.fill(0);
  return `${JSON.stringify({ format: DISCLOSURE_FORMAT, version: 1, ...shown }, null, 2)}\n`;
}

/** @throws IntercloudError NOT_AN_AUDIT_FILE. */
export async function readDisclosure(file: string): Promise<Disclosure> {
  const wanted = "disclosure; `intercloud audit disclose` writes one";
  const result = v.safeParse(disclosureShape, fromJson(await readText(file, wanted)));
  if (!result.success) throw notAFile(file, wanted);
  return result.output;
}

/** The beginning of a file. */
async function readText(file: string, wanted: string): Promise<string> {
  const handle = await open(file, "r").catch((error: unknown) => Promise.reject(notAFile(file, wanted, error)));
  try {
    const buffer = Buffer.alloc(MAX_TEXT_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    throw notAFile(file, wanted, error);
  } finally {
    await handle.close();
  }
}

/** Undefined when it is not JSON. */
export function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const toBase64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
