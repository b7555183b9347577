/**
 * An envelope: an age file whose file key only a deposit can give back. What the providers keep of it is its envelope key; the file
 * itself is anywhere.
 */
import type { Entropy } from "../crypto/entropy.ts";
import { encodeAgeFile, readAgeFile, readBinaryAgeFile, type UnlockedAgeFile } from "./age-file.ts";
import { FILE_KEY_BYTES, PAYLOAD_NONCE_BYTES } from "./constants.ts";
import { headerDamaged } from "./errors.ts";
import { findStanza, unwrapFileKey, wrapFileKey } from "./stanza.ts";

export interface NewEnvelope {
  /** 32 random bytes, which are the message of the deposit. For one envelope only; may be wiped when `sealEnvelope` returns. */
  readonly envelopeKey: Uint8Array;
  /** The deposit's. */
  readonly tokenText: string;
  readonly entropy: Entropy;
}

/** The age file, in constant memory. Chunks of `message` are kept until 64 KiB are full: their memory must not be used again. */
export function sealEnvelope(
  { envelopeKey, tokenText, entropy }: NewEnvelope,
  message: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const fileKey = entropy(FILE_KEY_BYTES);
  try {
    const stanzas = [wrapFileKey(envelopeKey, tokenText, fileKey)];
    return encodeAgeFile({ fileKey, stanzas, nonce: entropy(PAYLOAD_NONCE_BYTES) }, message);
  } finally {
    fileKey.fill(0);
  }
}

export interface Envelope {
  /** The deposit whose message is the envelope key. Not to be believed before `open` resolved. */
  readonly tokenText: string;
  /**
   * The message, once; what is wrong is never handed out, and the end only when nothing is missing.
   * @throws IntercloudError WRONG_ENVELOPE_KEY, HEADER_FORGED, HEADER_DAMAGED; the message itself FILE_DAMAGED.
   */
  open(envelopeKey: Uint8Array): Promise<AsyncIterable<Uint8Array>>;
  /** For an envelope that is not opened, or could not be. */
  close(): Promise<void>;
}

/**
 * Reads the header.
 * @throws IntercloudError NOT_AN_AGE_FILE, AGE_VERSION, NOT_OUR_FILE (bad-request), ARMOR_DAMAGED, HEADER_DAMAGED (integrity).
 */
export async function readEnvelope(file: AsyncIterable<Uint8Array>): Promise<Envelope> {
  const ageFile = await readAgeFile(file);
  try {
    const stanza = findStanza(ageFile.stanzas);
    return {
      tokenText: stanza.tokenText,
      close: () => ageFile.close(),
      async open(envelopeKey) {
        const fileKey = unwrapFileKey(envelopeKey, stanza);
        try {
          return await ageFile.open(fileKey);
        } finally {
          fileKey.fill(0);
        }
      },
    };
  } catch (error) {
    await ageFile.close();
    throw error;
  }
}

/**
 * Begins to read an envelope that others keep for us, of which we know the deposit.
 * @throws IntercloudError as `readEnvelope` and `Envelope.open`: then it is not the one that was made; the file is closed.
 */
export async function unlockEnvelope(
  { tokenText, envelopeKey }: Pick<NewEnvelope, "tokenText" | "envelopeKey">,
  file: AsyncIterable<Uint8Array>,
): Promise<UnlockedAgeFile> {
  const ageFile = await readBinaryAgeFile(file);
  let fileKey: Uint8Array | undefined;
  try {
    const stanza = findStanza(ageFile.stanzas);
    if (stanza.tokenText !== tokenText) throw headerDamaged("it names another deposit");
    fileKey = unwrapFileKey(envelopeKey, stanza);
    return await ageFile.unlock(fileKey);
  } catch (error) {
    await ageFile.close();
    throw error;
  } finally {
    fileKey?.fill(0);
  }
}
