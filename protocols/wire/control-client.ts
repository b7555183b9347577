/** Asks one peer over a control stream that is opened at the first ask, kept, and replaced when it breaks. */
import { type ByteStream, truncated, unreachable } from "./byte-stream.ts";
import type { Clock } from "./clock.ts";
import type { CborValue } from "./codec.ts";
import {
  type Answer,
  type ControlFailure,
  createControlReader,
  encodeControl,
  parseFromAnswerer,
  STREAM_ID,
} from "./control-frame.ts";
import { IntercloudError } from "./errors.ts";
import { remoteError } from "./failure.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import type { CallOptions, PeerName } from "./transport.ts";

export interface ControlClientOptions {
  readonly clock: Clock;
  readonly idleTimeoutMs: number;
  /** Opens a new control stream to the peer, within a deadline of its own. */
  openStream(): Promise<ByteStream>;
}

export interface ControlClient {
  ask(protocol: string, method: string, body: CborValue, options: CallOptions): Promise<CborValue>;
  close(reason: Error): void;
}

interface Link {
  readonly stream: ByteStream;
  readonly outbox: Outbox;
  readonly pending: Map<number, Pending>;
}

interface Pending {
  /** The peer may have seen it: it must not be sent a second time. */
  handedOver: boolean;
  resolve(body: CborValue): void;
  reject(error: unknown): void;
  /** The link ended before the ask was handed over. */
  again(): void;
}

export function createControlClient(to: PeerName, options: ControlClientOptions): ControlClient {
  const { clock } = options;
  let nextId = 1;
  let linking: Promise<Link> | undefined;
  let standing: Link | undefined;
  let closedBy: Error | undefined;
  const asks = new Set<(error: Error) => void>();

  /** The standing link or a new one; asks at the same time share it. */
  function link(): Promise<Link> {
    if (standing?.stream.broken.aborted) forget(standing);
    if (linking) return linking;
    const made = openLink();
    linking = made;
    made.catch(() => {
      if (linking === made) linking = undefined;
    });
    return made;
  }

  function forget(link: Link): void {
    if (standing !== link) return;
    standing = undefined;
    linking = undefined;
  }

  async function openLink(): Promise<Link> {
    const stream = await options.openStream();
    const opened: Link = { stream, outbox: createOutbox(stream, clock, options.idleTimeoutMs), pending: new Map() };
    standing = opened;
    if (closedBy) stream.abort(closedBy);
    void readAnswers(opened).then((error) => {
      forget(opened);
      stream.abort(error);
      for (const pending of opened.pending.values()) {
        if (pending.handedOver) pending.reject(error);
        else pending.again();
      }
    });
    return opened;
  }

  /** Until the link ends; resolves with what the asks that wait on it are told. */
  async function readAnswers({ stream, pending }: Link): Promise<Error> {
    const nextFrame = createControlReader(stream);
    try {
      for (let frame = await nextFrame(); frame !== null; frame = await nextFrame()) {
        const message = parseFromAnswerer(frame.value);
        if (message.id === STREAM_ID) return failureOf(message as ControlFailure);
        const ask = pending.get(message.id);
        // an answer that nobody waits for any more crossed our cancel on its way
        if (!ask) continue;
        pending.delete(message.id);
        if ("status" in message) ask.reject(failureOf(message));
        else ask.resolve((message as Answer).body);
      }
      return unreachable(to, truncated(to));
    } catch (error) {
      if (stream.broken.aborted) return unreachable(to, error);
      const what = `${to} answered with something that is not a message of ours; is its version right?`;
      return new IntercloudError("BAD_ANSWER", "unreachable", what, { peers: [to] }, error);
    }
  }

  function failureOf({ id: _, ...failure }: ControlFailure): Error {
    return remoteError(to, failure);
  }

  function ask(protocol: string, method: string, body: CborValue, call: CallOptions): Promise<CborValue> {
    const id = nextId++;
    const frame = encodeControl({ id, protocol, method, body });
    return new Promise((resolve, reject) => {
      let usedLink: Link | undefined;
      let retried = false;
      let settled = false;

      const settle = () => {
        settled = true;
        disarm();
        call.signal?.removeEventListener("abort", onSignal);
        asks.delete(giveUp);
        usedLink?.pending.delete(id);
      };
      const fail = (error: unknown) => {
        if (settled) return;
        settle();
        reject(error);
      };
      const giveUp = (error: Error) => {
        const tell = usedLink?.pending.has(id);
        fail(error);
        if (tell) usedLink?.outbox.push(encodeControl({ id, cancel: true }));
      };
      const onSignal = () => giveUp(cancelled(call.signal?.reason));
      const disarm = clock.after(call.timeoutMs, () => giveUp(timedOut(to, call.timeoutMs)));
      call.signal?.addEventListener("abort", onSignal, { once: true });
      asks.add(giveUp);

      const send = (): void => {
        link().then((opened) => {
          if (settled) return;
          if (opened.stream.broken.aborted) {
            again();
            return;
          }
          usedLink = opened;
          const pending: Pending = {
            handedOver: false,
            resolve(answer) {
              settle();
              resolve(answer);
            },
            reject: fail,
            again,
          };
          opened.pending.set(id, pending);
          opened.outbox.push(frame, () => {
            pending.handedOver = true;
          });
        }, fail);
      };
      /** Nothing of it was sent: once more on a fresh stream, and no more than once. */
      const again = (): void => {
        if (settled) return;
        if (retried) fail(unreachable(to));
        else send();
        retried = true;
      };

      if (closedBy) giveUp(closedBy);
      else if (call.signal?.aborted) onSignal();
      else send();
    });
  }

  return {
    async ask(protocol, method, body, call) {
      return await ask(protocol, method, body, call);
    },
    close(reason) {
      closedBy = reason;
      for (const giveUp of asks) giveUp(reason);
      linking?.then(
        ({ stream }) => stream.abort(reason),
        () => {},
      );
    },
  };
}

export function timedOut(peer: PeerName, timeoutMs: number): IntercloudError {
  const message = `${peer} did not answer within ${timeoutMs} ms; try again or use another peer`;
  return new IntercloudError("TIMEOUT", "timeout", message, { peers: [peer] });
}

export function cancelled(cause?: unknown): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the request was cancelled by its caller", {}, cause);
}
