/** The dealing protocol's id and limits, each with its reason. */

export const DEALING_PROTOCOL = "/intercloud/dealing/1.0.0";

/** A signed manifest takes 123 bytes a share and 300 more: 32 KB with 254 providers. */
export const MAX_MANIFEST_BYTES = 40 * 1024;

/** Corrections up to this length travel inside `deliver`; a stream of its own costs a round trip and pays off above. */
export const MAX_INLINE_CORRECTION_BYTES = 64 * 1024;

/** How long a deal waits to be used. Long enough to fetch deals ahead for a day on which the dealer is away. */
export const DEAL_LIFETIME_MS = 24 * 60 * 60_000;
/** A dealer may not make providers keep an unused deal for longer than this. */
export const MAX_DEAL_LIFETIME_MS = 30 * 24 * 60 * 60_000;

/** A correction that was staged and never delivered is garbage after this: its dealer delivers within minutes or is dead. */
export const STAGING_LIFETIME_MS = 60 * 60_000;
/** A correction that is still coming renews its staging record this often, far below its lifetime. */
export const STAGING_RENEWAL_MS = 10 * 60_000;

/**
 * One step of a deal: large enough that AES and the kernel run at full speed. Larger steps made the dealer's memory grow
 * further (measured), because the C library maps larger buffers one by one.
 */
export const MAX_STEP_BYTES = 64 * 1024;
/** A fast provider may be this many steps ahead of the slowest: enough to even out jitter. */
export const STEPS_AHEAD = 4;
/** All chunks that one deal holds at a time; with many providers the steps become smaller. */
export const MAX_DEAL_MEMORY_BYTES = 16 * 1024 * 1024;

/** Free shares that a provider hashes, or has hashed, before they are delivered: a few for each of the deals that dealers make at a time. */
export const MAX_FREE_SHARES_AHEAD = 64;

/**
 * Long free shares that a provider hashes at a time for users that deal for themselves. Such a share costs its dealer 32 bytes and the
 * provider a second for each GiB or two.
 */
export const MAX_SELF_DEALT_HASHES = 4;

/** Time for one small request to a provider, which has to sync its disk before it answers. */
export const PROVIDER_TIMEOUT_MS = 30_000;
/** For a user that asks for a short deal: what the dealer waits for its providers, and a little for the way. */
export const SHORT_DEAL_TIMEOUT_MS = PROVIDER_TIMEOUT_MS + 5_000;
/** Asking providers to forget a failed deal is a courtesy (they sweep it anyway); the user does not wait long for it. */
export const FORGET_TIMEOUT_MS = 3_000;
/** Time until a channel for a payload stands. */
export const OPEN_TIMEOUT_MS = 10_000;
/** The user is told how far the deal is this often, which also shows that the dealer lives. */
export const PROGRESS_INTERVAL_MS = 500;
/** How long a user waits for a deal that a dealer says it is making: so long, and what its bytes take on a slow link. */
export const DEAL_TIMEOUT_MS = 10 * 60_000;
export const DEAL_BYTES_PER_SECOND = 256 * 1024;
/** A request for a deal is answered at once or not at all. */
export const DEAL_REQUEST_LIFETIME_MS = 2 * 60_000;

/** What is layered in one deal of a lot, at most: what goes by messages when it is alone, too. */
export const MAX_LOT_ITEM_BYTES = 64 * 1024;
/** Of all its deals together: each provider that keeps ciphertexts holds about three times as much in memory while the lot is made. */
export const MAX_LOT_BYTES = 8 * 1024 * 1024;
/** Deals times providers: 4,096 deals among 8. What providers keep of a lot, one hundred bytes or two for each share, stays a few megabytes. */
export const MAX_LOT_SHARES = 32 * 1024;
