/** A token is a few hundred bytes; identities may be 256 long. */
export const MAX_TOKEN_BYTES = 2 * 1024;

/** A link is digests, names and a time. */
export const MAX_LINK_BYTES = 1024;

/** The manifest of a deal for 254 providers is about 40 KB. */
export const MAX_MANIFEST_BYTES = 128 * 1024;

/**
 * A message is checked and released in blocks of this size. Larger blocks make the list of digests shorter (512 KiB for
 * 16 GiB), smaller ones need less memory; each process holds one or two of them.
 */
export const MESSAGE_BLOCK_BYTES = 1024 * 1024;

/** 8 TiB, so that the layered message (with its block digests) stays below MAX_ROUND_BYTES. */
export const MAX_MESSAGE_BYTES = 2 ** 43;
