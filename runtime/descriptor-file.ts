/** The file `descriptor.json`: what a peer says of itself, for whoever runs the federation. Bytes are hexadecimal in it. */
import { readFile, stat } from "node:fs/promises";
import { checkDescriptor, type SignedDescriptor } from "../protocols/identity/descriptor.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { writeFileAtomic } from "./atomic-file.ts";

/** 16 addresses of 256 characters and a few short fields are far below it. */
const MAX_DESCRIPTOR_FILE_BYTES = 64 * 1024;

/** @throws IntercloudError DESCRIPTOR_MISSING, DESCRIPTOR_MALFORMED, DESCRIPTOR_BAD_SIGNATURE. */
export async function readDescriptor(path: string): Promise<SignedDescriptor> {
  let text: string;
  try {
    if ((await stat(path)).size > MAX_DESCRIPTOR_FILE_BYTES) throw malformed(path);
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof IntercloudError) throw error;
    const message = `there is no descriptor that can be read at ${path}; the init command of a node or dealer writes it`;
    throw new IntercloudError("DESCRIPTOR_MISSING", "not-found", message, { path }, error);
  }
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const { agreementKey, signature } = value;
    return checkDescriptor({ ...value, agreementKey: bytesOf(agreementKey), signature: bytesOf(signature) });
  } catch (error) {
    if (error instanceof IntercloudError && error.code === "DESCRIPTOR_BAD_SIGNATURE") throw error;
    throw malformed(path, error);
  }
}

export async function writeDescriptor(path: string, descriptor: SignedDescriptor): Promise<void> {
  const agreementKey = Buffer.from(descriptor.agreementKey).toString("hex");
  const signature = Buffer.from(descriptor.signature).toString("hex");
  const text = `${JSON.stringify({ ...descriptor, agreementKey, signature }, undefined, 2)}\n`;
  await writeFileAtomic(path, Buffer.from(text), 0o644);
}

/** What is not hexadecimal stays as it is, and the check of the shape refuses it. */
function bytesOf(field: unknown): unknown {
  const isHex = typeof field === "string" && /^([0-9a-f]{2})*$/.test(field);
  return isHex ? new Uint8Array(Buffer.from(field, "hex")) : field;
}

function malformed(path: string, cause?: unknown): IntercloudError {
  const message = `${path} is no descriptor; get it again from the provider or dealer whose it is`;
  return new IntercloudError("DESCRIPTOR_MALFORMED", "bad-request", message, { path }, cause);
}
