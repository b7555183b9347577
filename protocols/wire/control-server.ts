/** Answers the asks that come in on one control stream. */
import type { ByteStream } from "./byte-stream.ts";
import type { Clock } from "./clock.ts";
import type { CborValue } from "./codec.ts";
import { type Ask, createControlReader, encodeControl, parseFromAsker, STREAM_ID } from "./control-frame.ts";
import { IntercloudError } from "./errors.ts";
import { errorForPeer, failureMessage } from "./failure.ts";
import { RETRY_AFTER_MS, type TransportLimits } from "./limits.ts";
import { createOutbox } from "./outbox.ts";
import type { Quota } from "./quota.ts";
import type { AskHandler } from "./transport.ts";

export interface ControlServerOptions {
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly quota: Quota;
  handlerOf(protocol: string, method: string): AskHandler | undefined;
  newRequestId(): string;
  onFault(error: unknown, requestId: string): void;
  onAnswer?(protocol: string, method: string, body: CborValue): void;
}

/** Until the stream ends or `stop` fires; resolves when every handler has ended. Never rejects. */
export async function serveControl(
  stream: ByteStream,
  options: ControlServerOptions,
  stop: AbortSignal,
): Promise<void> {
  const { clock, limits, quota } = options;
  const outbox = createOutbox(stream, clock, limits.idleTimeoutMs);
  const inFlight = new Map<number, { readonly controller: AbortController; readonly done: Promise<void> }>();
  let inFlightBytes = 0;

  function sendFailure(id: number, error: IntercloudError, requestId: string): void {
    outbox.push(encodeControl({ id, ...failureMessage(error, requestId) }));
  }

  function busyFor(lengthBytes: number): number {
    if (inFlight.size >= limits.asksInFlight) return RETRY_AFTER_MS;
    if (inFlightBytes + lengthBytes > limits.controlBacklogBytes) return RETRY_AFTER_MS;
    return quota.take(stream.peer);
  }

  function start(ask: Ask, lengthBytes: number): void {
    if (inFlight.has(ask.id)) throw new IntercloudError("BAD_MESSAGE", "bad-request", "this id is in use");
    const requestId = options.newRequestId();
    const retryAfterMs = busyFor(lengthBytes);
    if (retryAfterMs > 0) {
      sendFailure(ask.id, new IntercloudError("BUSY", "busy", "past a limit", { retryAfterMs }), requestId);
      return;
    }
    const handler = options.handlerOf(ask.protocol, ask.method);
    if (!handler) {
      sendFailure(ask.id, new IntercloudError("NO_SUCH_METHOD", "not-found", "no such method"), requestId);
      return;
    }
    const controller = new AbortController();
    inFlightBytes += lengthBytes;
    const done = run(ask, handler, controller.signal, requestId).finally(() => {
      inFlightBytes -= lengthBytes;
      inFlight.delete(ask.id);
    });
    inFlight.set(ask.id, { controller, done });
  }

  async function run(ask: Ask, handler: AskHandler, signal: AbortSignal, requestId: string): Promise<void> {
    try {
      const answer = await handler(ask.body, { from: stream.peer, requestId, signal });
      const frame = encodeControl({ id: ask.id, body: answer ?? null });
      if (signal.aborted) return;
      options.onAnswer?.(ask.protocol, ask.method, answer);
      outbox.push(frame);
    } catch (error) {
      // a handler that was told to stop and did is no fault, whatever it threw to get out
      if (signal.aborted) return;
      const told = errorForPeer(error, (fault) => options.onFault(fault, requestId));
      sendFailure(ask.id, told, requestId);
    }
  }

  function cancelAll(reason: unknown): void {
    for (const { controller } of inFlight.values()) controller.abort(reason);
  }

  const onStop = () => {
    cancelAll(stop.reason);
    stream.abort(stop.reason);
  };
  const onBroken = () => cancelAll(stream.broken.reason);
  stop.addEventListener("abort", onStop, { once: true });
  stream.broken.addEventListener("abort", onBroken, { once: true });
  if (stop.aborted) onStop();

  const nextFrame = createControlReader(stream);
  try {
    for (;;) {
      // an asker that does not take its answers gets no more of them made
      await outbox.below(limits.controlBacklogBytes);
      const frame = await nextFrame();
      if (frame === null) break;
      const message = parseFromAsker(frame.value);
      if ("cancel" in message) inFlight.get(message.id)?.controller.abort(cancelled());
      else start(message, frame.lengthBytes);
    }
    cancelAll(cancelled());
  } catch (error) {
    if (!stream.broken.aborted && error instanceof IntercloudError) {
      sendFailure(STREAM_ID, error, options.newRequestId());
      await outbox.below(0);
    }
    cancelAll(error);
  }
  await closeWithin(stream, clock, limits.shutdownMs);
  await Promise.all(Array.from(inFlight.values(), ({ done }) => done));
  stop.removeEventListener("abort", onStop);
}

/** Refuses a whole stream: one failure about the stream itself, and its end. */
export async function refuseControl(
  stream: ByteStream,
  error: IntercloudError,
  options: Pick<ControlServerOptions, "clock" | "limits" | "newRequestId">,
): Promise<void> {
  const frame = encodeControl({ id: STREAM_ID, ...failureMessage(error, options.newRequestId()) });
  stream.write([frame]).catch(() => {});
  await closeWithin(stream, options.clock, options.limits.shutdownMs);
}

/** Ends our side and gives the peer a moment to end its own; breaks the stream after that. */
async function closeWithin(stream: ByteStream, clock: Clock, withinMs: number): Promise<void> {
  const disarm = clock.after(withinMs, () => stream.abort());
  try {
    await stream.close();
    while ((await stream.read()) !== null);
  } catch (error) {
    stream.abort(error);
  } finally {
    disarm();
  }
}

function cancelled(): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the asking side gave up");
}
