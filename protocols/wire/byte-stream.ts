/**
 * The small interface under everything that crosses a stream: ordered bytes in both directions, with back-pressure,
 * and an end that is either proven or an error. `stream-pair.ts` makes them in memory, `libp2p-stream.ts` over libp2p.
 */
import { IntercloudError } from "./errors.ts";
import type { PeerName } from "./transport.ts";

export interface ByteStream {
  readonly peer: PeerName;
  /**
   * The next bytes, never empty; they belong to the caller. Null only when the peer has really finished.
   * One read at a time. @throws IntercloudError TRUNCATED when the stream broke before that.
   */
  read(): Promise<Uint8Array | null>;
  /**
   * Takes all the bytes at once, so that nothing else gets between them, and resolves when there is room for more.
   * The buffers belong to the stream from then on. @throws IntercloudError UNREACHABLE when the stream is broken.
   */
  write(bytes: readonly Uint8Array[]): Promise<void>;
  /** How many of the written bytes the transport has taken: tells a slow reader from one that stands still. */
  takenBytes(): number;
  /** No more from us; resolves when what was written is on its way. */
  close(): Promise<void>;
  /** Breaks the stream in both directions at once. */
  abort(reason?: unknown): void;
  /** Fires when the stream breaks on either side (reset, lost connection, abort); never after an orderly end. */
  readonly broken: AbortSignal;
}

/** A stream as a peer receives or opens it: made by a network that knows who is at the other end. */
export interface StreamHost {
  readonly peer: PeerName;
  /** @throws IntercloudError UNREACHABLE; RemoteError not-found when the peer does not serve this; the signal's reason. */
  open(to: PeerName, streamProtocol: string, signal: AbortSignal): Promise<ByteStream>;
  handle(streamProtocol: string, onStream: (stream: ByteStream) => void): Promise<void>;
  unhandle(streamProtocol: string): Promise<void>;
}

/** libp2p sometimes rejects with an event, which holds the whole stream and its bytes: nothing to hang on an error. */
const errorOnly = (cause: unknown) => (cause instanceof Error ? cause : undefined);

export function truncated(peer: PeerName, cause?: unknown): IntercloudError {
  const message = `the stream from ${peer} ended before its end; ask again or ask another peer`;
  return new IntercloudError("TRUNCATED", "unreachable", message, { peers: [peer] }, errorOnly(cause));
}

export function unreachable(peer: PeerName, cause?: unknown): IntercloudError {
  const message = `${peer} cannot be reached; check that it runs and that its address is right`;
  return new IntercloudError("UNREACHABLE", "unreachable", message, { peers: [peer] }, errorOnly(cause));
}
