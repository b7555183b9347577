/** GF(2^8) has 255 non-zero points and the user needs one of them. */
export const MAX_PROVIDERS = 254;
/** Fewer than two would make every share the secret. */
export const MIN_THRESHOLD = 2;

/** Drawn at random by the dealer: 2^64 deals before two of them meet by chance. */
export const DEAL_ID_BYTES = 16;
export const TOKEN_ID_BYTES = 32;
export const NONCE_BYTES = 16;

/**
 * The longest layered message, 16 TiB. A seed is expanded by AES in counter mode, and 2^40 blocks of it can be told from
 * random with a probability below 2^-48 (the birthday bound of a 128-bit block cipher). It also keeps every offset exact.
 */
export const MAX_ROUND_BYTES = 2 ** 44;

/** A descriptor of 254 members is about 20 KB. */
export const MAX_DESCRIPTOR_BYTES = 64 * 1024;
