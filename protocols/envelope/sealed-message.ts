/** Protocol 1: a message sealed to one key before it is layered. It is an age file, which age opens as well, given the key. */
import type { Entropy } from "../crypto/entropy.ts";
import type { AgreementKey } from "../crypto/key-agreement.ts";
import { IntercloudError } from "../wire/errors.ts";
import { encodeAgeFile, readAgeFile } from "./age-file.ts";
import { CHUNK_BYTES, FILE_KEY_BYTES, PAYLOAD_NONCE_BYTES, TAG_BYTES } from "./constants.ts";
import { encodeHeader } from "./header.ts";
import { unwrapWithKey, wrapForKey } from "./recipient.ts";

/** A message that can be read again and again. */
export interface RepeatableMessage {
  readonly lengthBytes: number;
  open(): AsyncIterable<Uint8Array>;
}

export interface SealedMessage extends RepeatableMessage {
  /** To be called when it is not read any more. */
  wipe(): void;
}

/** The same bytes whenever it is opened. @param recipient an X25519 public key */
export function sealMessage(message: RepeatableMessage, recipient: Uint8Array, entropy: Entropy): SealedMessage {
  const fileKey = entropy(FILE_KEY_BYTES);
  const nonce = entropy(PAYLOAD_NONCE_BYTES);
  const stanzas = [wrapForKey(recipient, fileKey, entropy)];
  const chunks = Math.max(1, Math.ceil(message.lengthBytes / CHUNK_BYTES));
  const headBytes = encodeHeader(stanzas, fileKey).length + PAYLOAD_NONCE_BYTES;
  return {
    lengthBytes: headBytes + message.lengthBytes + chunks * TAG_BYTES,
    open: () => encodeAgeFile({ fileKey, stanzas, nonce }, message.open()),
    wipe: () => void fileKey.fill(0),
  };
}

/** The message, each chunk authenticated before it is released. @throws IntercloudError NOT_SEALED_TO_US, and as `readAgeFile`. */
export async function openMessage(
  own: AgreementKey,
  sealed: AsyncIterable<Uint8Array>,
): Promise<AsyncIterable<Uint8Array>> {
  const file = await readAgeFile(sealed);
  try {
    const fileKey = unwrapWithKey(own, file.stanzas);
    if (fileKey === undefined) {
      const text = "what the providers gave back is sealed to another key than that of this identity";
      throw new IntercloudError("NOT_SEALED_TO_US", "integrity", text);
    }
    try {
      return await file.open(fileKey);
    } finally {
      fileKey.fill(0);
    }
  } catch (error) {
    await file.close();
    throw error;
  }
}
