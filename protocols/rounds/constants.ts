/** The field has 255 non-zero elements and the user takes one point. */
export const MAX_PROVIDERS = 254;
export const MIN_THRESHOLD = 2;

export const DEAL_ID_BYTES = 16;
export const TOKEN_ID_BYTES = 32;
export const NONCE_BYTES = 16;

/** 16 TiB: far above what anybody deposits, far below where byte counts stop being exact or the AES counter wraps. */
export const MAX_ROUND_BYTES = 2 ** 44;

/** A descriptor of 254 members is about 20 KB. */
export const MAX_DESCRIPTOR_BYTES = 64 * 1024;
