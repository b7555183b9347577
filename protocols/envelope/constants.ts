/** Sizes of the age v1 format (C2SP age.md) and limits of ours. */

/** "Each file is encrypted with a 128-bit symmetric file key." */
export const FILE_KEY_BYTES = 16;

/** What an envelope's deposit layers: the file key is wrapped with it. */
export const ENVELOPE_KEY_BYTES = 32;

/** Poly1305. */
export const TAG_BYTES = 16;

/** A file key under a wrap key. */
export const WRAPPED_KEY_BYTES = FILE_KEY_BYTES + TAG_BYTES;

/** Comes first in a payload. */
export const PAYLOAD_NONCE_BYTES = 16;

/** Plaintext of a chunk of the payload; the last one may be shorter. */
export const CHUNK_BYTES = 64 * 1024;

/** A header that we write is 300 bytes. The longest stanzas of others are 1.8 KB, and a file may have hundreds of recipients. */
export const MAX_HEADER_BYTES = 1024 * 1024;

/** White space before armor; the reference implementation skips as much. */
export const MAX_LEADING_SPACE_BYTES = 1024;
