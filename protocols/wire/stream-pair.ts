/** Two byte streams joined in memory: bounded, with back-pressure, and broken or ended as a real stream is. */
import { type ByteStream, truncated, unreachable } from "./byte-stream.ts";
import type { PeerName } from "./transport.ts";

/** A writer waits while more than this lies unread; the same order as a libp2p stream with a 1 MiB window. */
const HIGH_WATER_BYTES = 512 * 1024;

/**
 * The first of the pair is held by `a` and has `b` as its peer. Bytes written to one are read from the other, uncopied.
 * @param onOver called when the pair has ended in both directions or is broken.
 */
export function createStreamPair(
  a: PeerName,
  b: PeerName,
  onOver: () => void = () => {},
): readonly [ByteStream, ByteStream] {
  const aToB = createPipe();
  const bToA = createPipe();
  const [heldByA, breakA] = createEnd(b, bToA, aToB);
  const [heldByB, breakB] = createEnd(a, aToB, bToA);
  const breakBoth = (reason: unknown) => {
    aToB.break();
    bToA.break();
    breakA(reason);
    breakB(reason);
    onOver();
  };
  const onFinish = (otherEnd: () => void) => () => {
    otherEnd();
    if (aToB.finished() && bToA.finished()) onOver();
  };
  aToB.onFinish = onFinish(aToB.onFinish);
  bToA.onFinish = onFinish(bToA.onFinish);
  heldByA.abort = breakBoth;
  heldByB.abort = breakBoth;
  return [heldByA, heldByB];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function createEnd(peer: PeerName, incoming: Pipe, outgoing: Pipe): [Mutable<ByteStream>, (reason: unknown) => void] {
  const broken = new AbortController();
  let orderly = false;
  const breakEnd = (reason: unknown) => {
    if (!orderly) broken.abort(reason);
  };
  const settleOrder = () => {
    orderly = incoming.finished() && outgoing.finished() && !broken.signal.aborted;
  };
  const stream: Mutable<ByteStream> = {
    peer,
    broken: broken.signal,
    takenBytes: outgoing.takenBytes,
    async read() {
      const bytes = await incoming.read();
      if (bytes === "broken") throw truncated(peer, broken.signal.reason);
      return bytes;
    },
    async write(bytes) {
      if (!(await outgoing.write(bytes))) throw unreachable(peer, broken.signal.reason);
    },
    async close() {
      outgoing.finish();
      settleOrder();
    },
    abort: breakEnd,
  };
  incoming.onFinish = settleOrder;
  return [stream, breakEnd];
}

interface Pipe {
  write(bytes: readonly Uint8Array[]): Promise<boolean>;
  read(): Promise<Uint8Array | null | "broken">;
  takenBytes(): number;
  finish(): void;
  finished(): boolean;
  break(): void;
  onFinish: () => void;
}

function createPipe(): Pipe {
  const queue: Uint8Array[] = [];
  let unreadBytes = 0;
  let takenBytes = 0;
  let thisTurnBytes = 0;
  let state: "open" | "finished" | "broken" = "open";
  let wakeReader: () => void = () => {};
  let wakeWriter: () => void = () => {};

  const isBroken = () => state === "broken";
  const pipe: Pipe = {
    async write(bytes) {
      if (state !== "open") return false;
      for (const part of bytes) {
        if (part.length === 0) continue;
        queue.push(part);
        unreadBytes += part.length;
        thisTurnBytes += part.length;
      }
      wakeReader();
      if (thisTurnBytes > HIGH_WATER_BYTES) {
        // a writer and a reader that are both quick must leave the event loop to others, as a real network does
        await new Promise((resolve) => setImmediate(resolve));
        thisTurnBytes = 0;
      }
      while (unreadBytes > HIGH_WATER_BYTES && !isBroken() && !pipe.finished()) {
        await new Promise<void>((resolve) => {
          wakeWriter = resolve;
        });
      }
      return !isBroken();
    },
    async read() {
      for (;;) {
        const part = queue.shift();
        if (part) {
          unreadBytes -= part.length;
          takenBytes += part.length;
          if (unreadBytes <= HIGH_WATER_BYTES) wakeWriter();
          return part;
        }
        if (state === "finished") return null;
        if (state === "broken") return "broken";
        await new Promise<void>((resolve) => {
          wakeReader = resolve;
        });
      }
    },
    takenBytes: () => takenBytes,
    finish() {
      if (state !== "open") return;
      state = "finished";
      pipe.onFinish();
      wakeReader();
      wakeWriter();
    },
    finished: () => state === "finished",
    break() {
      // what was finished before stays so: those bytes and their end have arrived
      if (state === "open") state = "broken";
      wakeReader();
      wakeWriter();
    },
    onFinish: () => {},
  };
  return pipe;
}
