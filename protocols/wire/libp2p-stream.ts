/**
 * A libp2p stream as a byte stream. A libp2p 3.3 stream is a set of events with traps of its own (docs/wire.md lists them);
 * they all end here:
 *
 * - reading pulls from a queue, and pauses the stream when the queue is long; `pause` inside a message handler would be lost
 * - only `remoteCloseWrite` proves that the peer finished: a lost connection closes the stream without any error
 * - the end of the peer, or a reset, may have come before we listen
 * - `onDrain` waits only once, and `drain` means "the window moved": the length of the write buffer is what counts
 */
import type { Stream } from "@libp2p/interface";
import { Uint8ArrayList } from "uint8arraylist";
import { markPassing } from "../crypto/release.ts";
import { type ByteStream, truncated, unreachable } from "./byte-stream.ts";
import type { PeerName } from "./transport.ts";

/** Unread bytes at which the stream is paused and resumed. libp2p adds at most one window (1 MiB) to the upper one. */
const READ_HIGH_BYTES = 512 * 1024;
const READ_LOW_BYTES = 128 * 1024;

/** A header, or its end, is all that a connection can have in front of bytes of ours that begin so early in its memory. */
const YAMUX_HEADER_BYTES = 12;

/** A writer waits while more than this lies in libp2p's write buffer: two frames of ours, so that the link never runs dry. */
const WRITE_HIGH_BYTES = 512 * 1024;

/** @param onBytes called whenever bytes arrive: the peer lives. */
export function createLibp2pStream(stream: Stream, peer: PeerName, onBytes: () => void = () => {}): ByteStream {
  const broken = new AbortController();
  const queue: Uint8Array[] = [];
  let queuedBytes = 0;
  let writtenBytes = 0;
  let finished = false;
  let paused = false;
  let closing = false;
  let over = false;
  let wakeReader = () => {};

  function pause(): void {
    paused = true;
    // inside resume() a pause would be undone as soon as this handler returns
    queueMicrotask(() => {
      if (paused && stream.readStatus === "readable") stream.pause();
    });
  }

  function resume(): void {
    paused = false;
    try {
      if (stream.readStatus === "paused") stream.resume();
    } catch {
      // what was held back has been dispatched; only the news of it could not be sent, because the connection is closing
    }
  }

  function end(error: unknown, byUs: boolean): void {
    if (over) return;
    over = true;
    // an abort on our side throws away what we have not read: the peer's end is not proven any more
    if (byUs) finished = false;
    const orderly = error === undefined && finished && closing && stream.writeBufferLength === 0;
    // what libp2p still holds for us is bounded, and nobody can be slowed down any more
    resume();
    if (!orderly) broken.abort(error);
    wakeReader();
  }

  stream.addEventListener("message", ({ data }) => {
    onBytes();
    for (const chunk of data instanceof Uint8Array ? [data] : data) queue.push(markPassing(chunk, YAMUX_HEADER_BYTES));
    queuedBytes += data.byteLength;
    if (queuedBytes > READ_HIGH_BYTES && !paused && !over) pause();
    wakeReader();
  });
  stream.addEventListener("remoteCloseWrite", () => {
    finished = true;
    wakeReader();
  });
  stream.addEventListener("close", ({ error, local }) => end(error, error !== undefined && local === true));
  if (stream.remoteWriteStatus === "closed" && stream.status === "open") finished = true;
  if (stream.status !== "open") end(new Error(`this stream was ${stream.status} before it was used`), false);

  /** Until at most `maxBytes` are in libp2p's write buffer. */
  function writeBufferBelow(maxBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        stream.removeEventListener("drain", onMoved);
        stream.removeEventListener("idle", onMoved);
        broken.signal.removeEventListener("abort", onBroken);
        settle();
      };
      // libp2p goes on sending in a microtask after the event
      const onMoved = () =>
        queueMicrotask(() => {
          if (stream.writeBufferLength <= maxBytes) done(resolve);
        });
      const onBroken = () => done(() => reject(unreachable(peer, broken.signal.reason)));
      stream.addEventListener("drain", onMoved);
      stream.addEventListener("idle", onMoved);
      broken.signal.addEventListener("abort", onBroken);
    });
  }

  return {
    peer,
    broken: broken.signal,
    takenBytes: () => writtenBytes - stream.writeBufferLength,
    async read() {
      for (;;) {
        const chunk = queue.shift();
        if (chunk) {
          queuedBytes -= chunk.length;
          if (paused && queuedBytes <= READ_LOW_BYTES) resume();
          return chunk;
        }
        if (stream.readBufferLength === 0) {
          if (finished) return null;
          if (over) throw truncated(peer, broken.signal.reason);
        }
        await new Promise<void>((resolve) => {
          wakeReader = resolve;
        });
      }
    },
    async write(bytes) {
      if (broken.signal.aborted) throw unreachable(peer, broken.signal.reason);
      const list = new Uint8ArrayList(...bytes);
      writtenBytes += list.byteLength;
      try {
        stream.send(list);
      } catch (error) {
        throw unreachable(peer, error);
      }
      if (stream.writeBufferLength > WRITE_HIGH_BYTES) await writeBufferBelow(WRITE_HIGH_BYTES);
    },
    async close() {
      if (closing || over) return;
      closing = true;
      // libp2p's own wait for this has no deadline and rejects with an event: wait here, where a break ends the wait
      if (stream.writeBufferLength > 0) await writeBufferBelow(0);
      try {
        await stream.close();
      } catch (error) {
        throw unreachable(peer, error);
      }
    },
    abort(reason) {
      stream.abort(reason instanceof Error ? reason : new Error("the stream was given up"));
    },
  };
}
