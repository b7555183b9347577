/**
 * The file FORMAT: which layout this folder has, which store it is and which key it was made with. It is written last when
 * a store is made, so a folder that has it was once complete.
 */
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { syncDirectory } from "../../runtime/atomic-file.ts";
import { storeDamaged, storeFormat, systemCode } from "./errors.ts";
import { STORE_ID_BYTES } from "./sealing.ts";

export const FORMAT_VERSION = 1;
export const FORMAT_FILE = "FORMAT";
/** FORMAT under this name says: a store is being made here and nothing in it counts yet. */
export const UNFINISHED_FORMAT_FILE = "FORMAT.partial";

export interface Format {
  readonly storeId: Uint8Array;
  readonly keyFingerprint: Uint8Array;
}

const hexOf = (lengthBytes: number) => v.pipe(v.string(), v.regex(/^[0-9a-f]*$/), v.length(2 * lengthBytes));
const formatShape = v.strictObject({
  format: v.literal(FORMAT_VERSION),
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
  if (typeof version === "number" && version !== FORMAT_VERSION) throw storeFormat(directory, version, FORMAT_VERSION);
  const parsed = v.safeParse(formatShape, value);
  if (!parsed.success) throw storeDamaged(directory, `the file ${FORMAT_FILE} cannot be read`);
  return {
    storeId: new Uint8Array(Buffer.from(parsed.output.storeId, "hex")),
    keyFingerprint: new Uint8Array(Buffer.from(parsed.output.keyFingerprint, "hex")),
  };
}

export async function writeUnfinishedFormat(directory: string, format: Format): Promise<void> {
  const text = JSON.stringify({
    format: FORMAT_VERSION,
    storeId: Buffer.from(format.storeId).toString("hex"),
    keyFingerprint: Buffer.from(format.keyFingerprint).toString("hex"),
  });
  const file = await open(join(directory, UNFINISHED_FORMAT_FILE), "w", 0o600);
  try {
    await file.writeFile(`${text}\n`);
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
