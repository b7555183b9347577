/** Answers one payload stream: its first message names the method, then a handler has the channel. */
import * as v from "valibot";
import type { ByteStream } from "./byte-stream.ts";
import { createChannel } from "./channel.ts";
import type { Clock } from "./clock.ts";
import type { CborValue } from "./codec.ts";
import { IntercloudError } from "./errors.ts";
import { errorForPeer } from "./failure.ts";
import { parseShape, text } from "./shape.ts";
import type { ChannelHandler } from "./transport.ts";

const openSchema = v.strictObject({
  method: text(64),
  header: v.custom<CborValue>((value) => value !== undefined),
});

export interface ChannelServerOptions {
  readonly clock: Clock;
  readonly idleTimeoutMs: number;
  readonly requestId: string;
  /** Set when the peer is past a limit: it is told, and the stream ends. */
  readonly refusal: IntercloudError | undefined;
  readonly stop: AbortSignal;
  handlerOf(method: string): ChannelHandler | undefined;
  onFault(error: unknown, requestId: string): void;
  /** What sees our side of the channel, once its method is known. */
  tapOf(method: string): ((kind: "message" | "data", bytes: Uint8Array) => void) | undefined;
}

/** Resolves when the stream is over. Never rejects. */
export async function serveChannel(stream: ByteStream, options: ChannelServerOptions): Promise<void> {
  const { clock, idleTimeoutMs, requestId, stop } = options;
  let onSend: ReturnType<typeof options.tapOf>;
  const channel = createChannel(stream, {
    clock,
    idleTimeoutMs,
    requestId,
    onSend: (kind, bytes) => onSend?.(kind, bytes),
  });
  const onStop = () => channel.abort(stop.reason);
  stop.addEventListener("abort", onStop, { once: true });
  try {
    if (options.refusal) throw options.refusal;
    stop.throwIfAborted();
    const { method, header } = parseShape(openSchema, await channel.receiveMessage(), "opening of a channel");
    const handler = options.handlerOf(method);
    if (!handler) throw new IntercloudError("NO_SUCH_METHOD", "not-found", "no such method");
    onSend = options.tapOf(method);
    await handler(channel, header, { from: stream.peer, requestId, signal: channel.failed });
  } catch (error) {
    // once the channel was failed from outside, what the handler threw to get out of it is no fault of its own
    const fromOutside = channel.failed.aborted && channel.failed.reason.status !== "internal";
    const told = errorForPeer(error, (fault) => {
      if (!fromOutside) options.onFault(fault, requestId);
    });
    channel.abort(told);
  }
  await channel.finish();
  stop.removeEventListener("abort", onStop);
}
