/** The limits of a transport. All can be set; the reasons are those of the defaults. */

export interface TransportLimits {
  /** A peer that is silent, or takes nothing, for so long while we wait for it is given up. */
  readonly idleTimeoutMs: number;
  /** For a new connection. A living peer answers in milliseconds; past this it is better to ask another. */
  readonly dialTimeoutMs: number;
  /** Asks of one peer that are being worked on at once. Each holds little memory; their bytes are bounded apart. */
  readonly asksInFlight: number;
  /** Bytes of asks being worked on, and of answers not yet sent, per control stream. Room for a few of the largest. */
  readonly controlBacklogBytes: number;
  /** Control streams that one peer may hold: one in use, and others that it has lost and we have not noticed. */
  readonly controlStreamsPerPeer: number;
  /** Payload channels that one peer may hold. Each may buffer about 2 MiB. */
  readonly channelsPerPeer: number;
  /** Asks per second and peer in the long run, about a fifth of what a core can answer. */
  readonly requestsPerSecond: number;
  /** Asks that may come at once. */
  readonly requestBurst: number;
  /** How long `close` waits for handlers that were told to stop. */
  readonly shutdownMs: number;
}

export const DEFAULT_LIMITS: TransportLimits = {
  idleTimeoutMs: 30_000,
  dialTimeoutMs: 5_000,
  asksInFlight: 1_024,
  controlBacklogBytes: 8 * 1024 * 1024,
  controlStreamsPerPeer: 4,
  channelsPerPeer: 16,
  requestsPerSecond: 5_000,
  requestBurst: 10_000,
  shutdownMs: 2_000,
};

/** Of one frame on a control stream: an ask with its body, or an answer. What is larger goes over a channel. */
export const MAX_CONTROL_BYTES = 1024 * 1024;

/**
 * Slower than any link that somebody moves files over. A peer that sends less than this in the long run, byte by byte or with nothing
 * but signs of life, would keep others waiting for as long as it likes.
 */
export const MIN_BODY_BYTES_PER_SECOND = 1024;

/** Opening a stream costs about this many times what an ask on an open stream costs. */
export const STREAM_COST = 10;

/** What a peer is told that has too much open at once: things here take about this long. */
export const RETRY_AFTER_MS = 1_000;
