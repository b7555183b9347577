/** An event names things by their ids and digests. The longest today, a retrieval by an identity of 256 letters, is 600 bytes. */
export const MAX_EVENT_BYTES = 4096;

export const EVENT_ID_BYTES = 16;

/** Tells two logs of one node apart: one that lost its store begins a new log. */
export const LOG_ID_BYTES = 16;
