/** Where random bytes come from. Passed in everywhere; the seeded kind exists only in test code. */
export type Entropy = (lengthBytes: number) => Uint8Array;
