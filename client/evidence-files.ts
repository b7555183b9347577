/** Evidence that this home has gathered: a file for each accused and deposit. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { parseTokenText } from "../protocols/tokens/token-text.ts";
import { writeFileAtomic } from "../runtime/atomic-file.ts";

/** Enough of a token's id to tell deposits apart. */
const SHOWN_ID_BYTES = 8;

/** @param what the accused's name and what it did, as part of a file name @returns the file. */
export async function keepEvidence(
  directory: string,
  what: string,
  tokenText: string,
  evidence: Uint8Array,
): Promise<string> {
  const id = Buffer.from(parseTokenText(tokenText).tokenId.subarray(0, SHOWN_ID_BYTES)).toString("hex");
  const file = path.join(directory, `${what.replaceAll(/[^a-zA-Z0-9-]/g, "_")}-${id}.evidence`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFileAtomic(file, evidence, 0o600);
  return file;
}
