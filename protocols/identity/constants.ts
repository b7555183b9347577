/** What a session key may be allowed to do; a request names one of them. */
export const PURPOSES = ["deal", "deposit", "retrieve", "read", "grant", "destroy", "change"] as const;
export type Purpose = (typeof PURPOSES)[number];

/** A tag is an identity, a key, two times and a few words: 1 KiB is generous. */
export const MAX_TAG_BYTES = 1024;

/** A session key that is stolen is of use for this long at most. */
export const MAX_TAG_LIFETIME_MS = 24 * 60 * 60_000;

/** The largest request body: a signed manifest of 254 providers is about 40 KB. */
export const MAX_REQUEST_BYTES = 256 * 1024;

/** How far two honest clocks may be apart. Machines with NTP stay far below it. */
export const CLOCK_SKEW_MS = 2 * 60_000;

/** A request may live this long at most, so the memory of seen nonces stays small. */
export const MAX_REQUEST_LIFETIME_MS = 10 * 60_000;

/** Seen nonces that one node remembers; at 1,000 requests a second for ten minutes it is enough. */
export const MAX_SEEN_NONCES = 1_000_000;
