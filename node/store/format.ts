/**
 * The file FORMAT: which layout this folder has, which store it is and which key it was made with. It is written last when
 * a store is made, so a folder that has it was once complete.
 */
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { syncDirectory, writeFileAtomic } from "../../runtime/atomic-file.ts";
import { storeDamaged, storeFormat, systemCode } from "./errors.ts";
import { STORE_ID_BYTES } from "./sealing.ts";

/** 1: without an audit log. Such a store is read and becomes one of format 2. */
export const FORMAT_VERSION = 2;
const READ_VERSIONS = [1, FORMAT_VERSION] as const;
export const FORMAT_FILE = "FORMAT";
/** FORMAT under this name says: a store is being made here and nothing in it counts yet. */
export const UNFINISHED_FORMAT_FILE = "FORMAT.partial";

export interface Format {
  readonly version: (typeof READ_VERSIONS)[number];
  readonly storeId: Uint8Array;
  readonly keyFingerprint: Uint8Array;
}

const hexOf = (lengthBytes: number) => v.pipe(v.string(), v.regex(/^[0-9a-f]*$/), v.length(2 * lengthBytes));
const formatShape = v.strictObject({
  format: v.picklist(READ_VERSIONS),
  storeId: hexOf(STORE_ID_BYTES),
  keyFingerprint: hexOf(32),
});

/** Undefined when there is no FORMAT. @throws IntercloudError STORE_FORMAT, STORE_DAMAGED. */
export async function readFormat(directory: string): Promise<Format | undefined> {
  let text: string;
  try {
    const file = await open(join(directory, FORMAT_FILE), "r");
    try {
      text = await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  return parseFormat(directory, text);
}

function parseFormat(directory: string, text: string): Format {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw storeDamaged(directory, `the file ${FORMAT_FILE} cannot be read`, cause);
  }
  const version = (value as { format?: unknown } | null)?.format;
  const isRead = READ_VERSIONS.some((known) => known === version);
  if (typeof version === "number" && !isRead) throw storeFormat(directory, version, FORMAT_VERSION);
  const parsed = v.safeParse(formatShape, value);
  if (!parsed.success) throw storeDamaged(directory, `the file ${FORMAT_FILE} cannot be read`);
  return {
    version: parsed.output.format,
    storeId: new Uint8Array(Buffer.from(parsed.output.storeId, "hex")),
    keyFingerprint: new Uint8Array(Buffer.from(parsed.output.keyFingerprint, "hex")),
  };
}

function textOf({ version, storeId, keyFingerprint }: Format): string {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  return `${JSON.stringify({ format: version, storeId: hex(storeId), keyFingerprint: hex(keyFingerprint) })}\n`;
}

/** Says that the store is of the newest format, once it is about to become that. */
export async function renewFormat(directory: string, format: Format): Promise<void> {
  if (format.version === FORMAT_VERSION) return;
  const text = textOf({ ...format, version: FORMAT_VERSION });
  await writeFileAtomic(join(directory, FORMAT_FILE), Buffer.from(text), 0o600);
}

export async function writeUnfinishedFormat(directory: string, format: Format): Promise<void> {
  const file = await open(join(directory, UNFINISHED_FORMAT_FILE), "w", 0o600);
  try {
    await file.writeFile(textOf(format));
    await file.sync();
  } finally {
    await file.close();
  }
  await syncDirectory(directory);
}

export async function finishFormat(directory: string): Promise<void> {
  await rename(join(directory, UNFINISHED_FORMAT_FILE), join(directory, FORMAT_FILE));
  await syncDirectory(directory);
}
