/** The file `federation.json`. Bytes are hexadecimal in it; everything else is as in protocols/identity. */
import { readFile, stat } from "node:fs/promises";
import type { PeerDescriptor, SignedDescriptor } from "../protocols/identity/descriptor.ts";
import { checkFederation, type SignedFederation } from "../protocols/identity/federation.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { writeFileAtomic } from "./atomic-file.ts";

/** 318 members of 1 KB each are far below it. */
const MAX_FEDERATION_FILE_BYTES = 4 * 1024 * 1024;

/** @throws IntercloudError FEDERATION_MISSING, and what `checkFederation` throws. */
export async function readFederation(path: string, founder?: Uint8Array): Promise<SignedFederation> {
  const text = await readText(path);
  try {
    return parseFederation(text, founder);
  } catch (error) {
    if (!(error instanceof IntercloudError)) throw error;
    // Who has several homes or nodes has to know which file it is.
    throw new IntercloudError(error.code, error.status, `${path}: ${error.message}`, { ...error.details, path }, error);
  }
}

/** @throws what `checkFederation` throws: a file that readers would refuse is not written. */
export async function writeFederation(path: string, federation: SignedFederation): Promise<void> {
  checkFederation(federation);
  await writeFileAtomic(path, Buffer.from(formatFederation(federation)), 0o644);
}

export function formatFederation(federation: SignedFederation): string {
  const inHex = (member: SignedDescriptor) => ({
    ...member,
    agreementKey: hexOf(member.agreementKey),
    signature: hexOf(member.signature),
  });
  const whole = {
    ...federation,
    providers: federation.providers.map(inHex),
    dealers: federation.dealers.map(inHex),
    founder: hexOf(federation.founder),
    signature: hexOf(federation.signature),
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

/** @throws IntercloudError FEDERATION_MALFORMED, FEDERATION_DUPLICATE, FEDERATION_BAD_SIGNATURE. */
export function parseFederation(text: string, founder?: Uint8Array): SignedFederation {
  let value: unknown;
  try {
    value = JSON.parse(text, (key, field) => (BYTE_FIELDS.has(key) ? bytesOf(field) : field));
  } catch (cause) {
    throw new IntercloudError(
      "FEDERATION_MALFORMED",
      "bad-request",
      "the federation file is not JSON; get it again from who runs the federation",
      { entry: "(whole)" },
      cause,
    );
  }
  return checkFederation(value, founder);
}

async function readText(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > MAX_FEDERATION_FILE_BYTES) {
      throw new IntercloudError("FEDERATION_MALFORMED", "bad-request", `${path} is too long for a federation file`);
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof IntercloudError) throw error;
    throw new IntercloudError(
      "FEDERATION_MISSING",
      "not-found",
      `there is no federation file that can be read at ${path}; get it from who runs the federation`,
      { path },
      error,
    );
  }
}

const BYTE_FIELDS = new Set<string>(["agreementKey", "signature", "founder"] satisfies (
  | keyof PeerDescriptor
  | keyof SignedFederation
)[]);

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** What is not hexadecimal stays as it is, and the check of the shape names it. */
function bytesOf(field: unknown): unknown {
  const isHex = typeof field === "string" && /^([0-9a-f]{2})*$/.test(field);
  return isHex ? new Uint8Array(Buffer.from(field, "hex")) : field;
}
