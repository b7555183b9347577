/**
 * Files of the age v1 format, header and payload, for any kind of stanza. Our own code on node:crypto, because the packages for
 * it compute in JavaScript: tens of times slower, and slow to load, while a cold `decrypt` should not make anybody wait.
 */
import { withoutArmor } from "./armor.ts";
import { PAYLOAD_NONCE_BYTES } from "./constants.ts";
import { headerDamaged, headerForged } from "./errors.ts";
import { headReader } from "./head-reader.ts";
import { encodeHeader, readHeader, type Stanza } from "./header.ts";
import { openPayload, payloadKey, sealPayload } from "./payload.ts";

export interface AgeFileParts {
  /** 16 random bytes, of this file only. */
  readonly fileKey: Uint8Array;
  /** Each wraps that file key. */
  readonly stanzas: readonly Stanza[];
  /** 16 random bytes, of this file only. */
  readonly nonce: Uint8Array;
}

/**
 * Needs constant memory, however long `message` is. Its chunks are kept until 64 KiB are full, so their memory must not be used
 * again. The file key may be wiped when it returns.
 */
export function encodeAgeFile(
  { fileKey, stanzas, nonce }: AgeFileParts,
  message: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const head = Buffer.concat([encodeHeader(stanzas, fileKey), nonce]);
  return headAndPayload(head, sealPayload(payloadKey(fileKey, nonce), message));
}

async function* headAndPayload(head: Uint8Array, payload: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield head;
  yield* payload;
}

export interface AgeFile {
  /** All of them; those of an unknown type are somebody else's. */
  readonly stanzas: readonly Stanza[];
  /**
   * The message, once; no byte of a chunk before the chunk has been authenticated. It throws IntercloudError FILE_DAMAGED where
   * the file was changed or ends too soon. The file key may be wiped when it resolves.
   * @throws IntercloudError HEADER_FORGED, FILE_DAMAGED.
   */
  open(fileKey: Uint8Array): Promise<AsyncIterable<Uint8Array>>;
  /** The same, for whoever puts the chunks together from several copies of the file. @throws as `open`. */
  unlock(fileKey: Uint8Array): Promise<UnlockedAgeFile>;
  /** For a file whose message is not read. */
  close(): Promise<void>;
}

export interface UnlockedAgeFile {
  /** Header and nonce, as they came. Behind them come the chunks. */
  readonly head: Uint8Array;
  /** Opens the chunks (`openChunks`). To be wiped. */
  readonly key: Uint8Array;
  /** The chunks. */
  readonly rest: AsyncIterable<Uint8Array>;
}

/** Reads the header. @throws IntercloudError NOT_AN_AGE_FILE, AGE_VERSION, ARMOR_DAMAGED, HEADER_DAMAGED; the file is closed then. */
export async function readAgeFile(file: AsyncIterable<Uint8Array>): Promise<AgeFile> {
  return await readBinaryAgeFile(withoutArmor(file));
}

/** The same for a file that has no armor. */
export async function readBinaryAgeFile(file: AsyncIterable<Uint8Array>): Promise<AgeFile> {
  const reader = headReader(file);
  try {
    const { stanzas, bytes, isOf } = await readHeader(reader);
    const ageFile: AgeFile = {
      stanzas,
      close: () => reader.close(),
      async open(fileKey) {
        const { key, rest } = await ageFile.unlock(fileKey);
        return openPayload(key, rest);
      },
      async unlock(fileKey) {
        if (!isOf(fileKey)) throw headerForged();
        const nonce = await reader.take(PAYLOAD_NONCE_BYTES);
        if (nonce.length < PAYLOAD_NONCE_BYTES) throw headerDamaged("the file ends behind it");
        return { head: Buffer.concat([bytes, nonce]), key: payloadKey(fileKey, nonce), rest: reader.rest() };
      },
    };
    return ageFile;
  } catch (error) {
    await reader.close();
    throw error;
  }
}
