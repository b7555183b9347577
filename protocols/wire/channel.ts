/** A payload stream over a byte stream: messages and bodies in frames, see `Channel` in transport.ts for the contract. */
import type { ByteStream } from "./byte-stream.ts";
import type { Clock } from "./clock.ts";
import { type CborValue, encodeCanonical } from "./codec.ts";
import { IntercloudError, RemoteError } from "./errors.ts";
import { failureFrame, MAX_MESSAGE_BYTES, messageFrame } from "./frame.ts";
import { createIncoming, type IncomingItem } from "./incoming.ts";
import { createIncomingBody } from "./incoming-body.ts";
import { sendFrames } from "./outgoing-body.ts";
import { watchProgress } from "./progress.ts";
import type { Channel } from "./transport.ts";

export interface ChannelOptions {
  readonly clock: Clock;
  /** No byte for so long while we wait for one, in either direction, ends the channel with TIMEOUT. */
  readonly idleTimeoutMs: number;
  /** Sent along with our failures. */
  readonly requestId?: string;
  /** Sees what is sent before it is sent. For audits in tests. */
  readonly onSend?: (kind: "message" | "data", bytes: Uint8Array) => void;
}

/** What the one who serves a channel has in addition. */
export interface OwnedChannel extends Channel {
  /** Fires with the reason when the channel fails, whoever caused it; not after an orderly end. */
  readonly failed: AbortSignal;
  /** Resolves when the channel has failed or both sides have ended. */
  readonly over: Promise<void>;
  /** Nobody will read any more: ends our side, and resolves when the stream is over, within the idle deadline. */
  finish(): Promise<void>;
}

/** How long a FAILURE may take to get out before the stream is broken, and a caller to say why it left a body. */
const FAILURE_LINGER_MS = 2_000;

export function createChannel(stream: ByteStream, options: ChannelOptions): OwnedChannel {
  const { clock, idleTimeoutMs, onSend } = options;
  const { peer } = stream;
  const failed = new AbortController();
  let failure: Error | undefined;
  let onFailure: ((error: Error) => void) | undefined;
  let sending = false;
  let receiving = false;
  let closed = false;
  let abandoned = false;
  let disarmLinger = () => {};
  const over = Promise.withResolvers<void>();

  const incoming = createIncoming(stream, (error) => {
    // a peer that sends nonsense is told so; one that failed or is gone is not
    if (error instanceof RemoteError || stream.broken.aborted) fail(error);
    else abort(error);
  });

  void incoming.over().then(() => {
    disarmLinger();
    if (closed) over.resolve();
  });

  /** Ends the channel with this error; what was received before it can still be read. */
  function fail(error: Error): void {
    if (failure) return;
    settleFailure(error);
    stream.abort(error);
  }

  function settleFailure(error: Error): void {
    failure = error;
    disarmLinger();
    onFailure?.(error);
    failed.abort(error);
    over.resolve();
  }

  /** Waits for `promise` or the failure of the channel; one waiter on the sending side at a time. */
  function orFailure<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (failure) reject(failure);
      onFailure = reject;
      promise.then(resolve, reject);
    });
  }

  function timeout(what: string): IntercloudError {
    const message = `${peer} ${what} for ${idleTimeoutMs} ms; try again or use another peer`;
    return new IntercloudError("TIMEOUT", "timeout", message, { peers: [peer] });
  }

  function abort(reason?: unknown): void {
    if (failure) return;
    const told = reason instanceof IntercloudError;
    const error = told ? reason : gaveUp(reason);
    incoming.stop(error);
    if (!told || closed) {
      fail(error);
      return;
    }
    settleFailure(error);
    closed = true;
    // the frame and the end of the stream may be stuck behind a full window: the deadline breaks the stream then
    const disarm = clock.after(FAILURE_LINGER_MS, () => stream.abort(error));
    stream.broken.addEventListener("abort", disarm, { once: true });
    stream.write(failureFrame(error, options.requestId)).catch(() => {});
    Promise.all([incoming.over(), stream.close()]).then(
      ([ended]) => {
        if (ended) disarm();
      },
      () => stream.abort(error),
    );
  }

  /** Writes one frame. Blocked without any progress for the idle time, it fails the channel. */
  async function write(frame: readonly Uint8Array[]): Promise<void> {
    if (failure) throw failure;
    if (closed) throw new IntercloudError("CHANNEL_CLOSED", "internal", "this channel was closed for sending");
    await withProgress(stream.write(frame));
  }

  async function withProgress(writing: Promise<void>): Promise<void> {
    const disarm = watchProgress(stream, clock, idleTimeoutMs, () => abort(timeout("took no bytes")));
    try {
      await orFailure(writing);
    } catch (error) {
      // a broken stream may have a FAILURE in front of its end, which says more than "broken"
      throw await incoming.endOf(error);
    } finally {
      disarm();
    }
  }

  async function exclusively<T>(send: () => Promise<T>): Promise<T> {
    if (sending) throw new IntercloudError("CHANNEL_IN_USE", "internal", "one send at a time on a channel");
    sending = true;
    try {
      return await send();
    } finally {
      sending = false;
      onFailure = undefined;
    }
  }

  /** Waits for the promise; undefined when it takes longer than `silenceMs`. */
  function orSilence<T>(promise: Promise<T>, silenceMs: number): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        disarm();
        failed.signal.removeEventListener("abort", done);
      };
      const disarm = clock.after(silenceMs, () => {
        done();
        resolve(undefined);
      });
      failed.signal.addEventListener("abort", done, { once: true });
      promise.then(resolve, reject).finally(done);
    });
  }

  /** The next item, under the idle deadline. */
  async function receive(withinMs = idleTimeoutMs): Promise<IncomingItem> {
    if (receiving) throw new IntercloudError("CHANNEL_IN_USE", "internal", "one receive at a time on a channel");
    const ready = incoming.take();
    if (ready) return ready;
    receiving = true;
    disarmLinger();
    const disarm = clock.after(withinMs, () =>
      abort(timeout(withinMs < idleTimeoutMs ? "sent too little" : "sent no bytes")),
    );
    try {
      return await incoming.next();
    } finally {
      receiving = false;
      disarm();
      if (closed) armLinger();
    }
  }

  /**
   * A consumer left a body before its end, so the peer must stop sending. Why it left is known better by its caller, who is
   * about to abort the channel with the reason; if it does not, we do.
   */
  function abandon(): void {
    abandoned = true;
    disarmLinger();
    if (!failure) disarmLinger = clock.after(FAILURE_LINGER_MS, () => abort(gaveUp()));
  }

  function gaveUp(cause?: unknown): IntercloudError {
    return new IntercloudError("CANCELLED", "cancelled", "we gave this channel up", {}, cause);
  }

  /** After our end, a peer that does not end and that nobody reads from must not keep the stream for ever. */
  function armLinger(): void {
    disarmLinger();
    if (incoming.ended()) over.resolve();
    if (failure || incoming.ended()) return;
    disarmLinger = clock.after(idleTimeoutMs, () => abort(timeout("did not end its side")));
  }

  async function close(): Promise<void> {
    if (abandoned) abort(gaveUp());
    if (failure || closed) return;
    await exclusively(() => {
      closed = true;
      return withProgress(stream.close());
    });
    armLinger();
  }

  return {
    peer,
    failed: failed.signal,
    over: over.promise,
    abort,
    close,
    sendMessage: (message) =>
      exclusively(async () => {
        const bytes = encodeMessage(message);
        onSend?.("message", bytes);
        await write(messageFrame(bytes));
      }),
    async receiveMessage() {
      const item = await receive();
      if (item.kind === "message") return item.message;
      const error = new IntercloudError("UNEXPECTED_FRAME", "bad-request", "a message was due, not a body");
      abort(error);
      throw error;
    },
    sendBody: (source, { keepAliveMs } = {}) =>
      exclusively(async () => {
        const patiently = <T>(promise: Promise<T>) =>
          keepAliveMs === undefined ? promise : orSilence(promise, keepAliveMs);
        try {
          return await sendFrames(source, { write, orFailure, patiently, onSend: (bytes) => onSend?.("data", bytes) });
        } catch (error) {
          abort(error instanceof IntercloudError ? error : internal(error));
          throw error;
        }
      }),
    receiveBody: (expected) => createIncomingBody({ peer, expected, receive, clock, idleTimeoutMs, abort, abandon }),
    async finish() {
      incoming.stop(new IntercloudError("CHANNEL_CLOSED", "internal", "this channel was finished by its owner"));
      await close().catch(abort);
      await incoming.over();
      disarmLinger();
    },
  };
}

function internal(cause: unknown): IntercloudError {
  return new IntercloudError("SOURCE_FAILED", "internal", "what produces this body failed", {}, cause);
}

function encodeMessage(message: CborValue): Uint8Array {
  const bytes = encodeCanonical(message);
  if (bytes.length > MAX_MESSAGE_BYTES) {
    const what = `a message of ${bytes.length} bytes is over the limit of ${MAX_MESSAGE_BYTES}; send it as a body`;
    throw new IntercloudError("MESSAGE_TOO_LONG", "internal", what);
  }
  return bytes;
}
