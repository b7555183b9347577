/**
 * The questions that a retrieval begins with (`ready`, `show`), when more of them come than can be answered in time. A few are worked on at
 * once and the others wait in line; when the line gets long, a part of those that come is told "busy" before any work is done for it. The
 * last question, `read`, does not stand in this line: the work that was done for it must not be in vain.
 *
 * Which part: a retrieval needs several providers, and one that some of them let in and the others do not is work for nothing. So it is not
 * chance that decides but the deposit's id, the same everywhere, and who lets in fewer lets in some of those that the others let in.
 * Every few seconds it is the turn of other ids.
 */
import type { Clock } from "../../wire/clock.ts";
import { IntercloudError } from "../../wire/errors.ts";

/** Enough that the disk and the processor both have something to do. */
const AT_ONCE = 16;
/** Whoever finds a line as short as that is let in: what was too much a moment ago is over. */
const SHORT_LINE = AT_ONCE;
/** So long a line is kept, by what is answered in that time: nobody is refused before. Clients wait five times as long. */
const LINE_MS = 1_000;
/** How often what is let in is looked at again. */
const INTERVAL_MS = 250;
/** Of all that come, even if nothing was answered lately. */
const LEAST = 0.02;
/** Whoever has waited so long is about to be given up, or was: its question is not worth the work any more. */
const MAX_WAIT_MS = 3_000;
/** Memory; at this length the wait is longer than anybody has patience for. */
const MAX_WAITING = 4_096;
/** How long it is the turn of the same ids. Clocks that differ by a tenth of it cost a tenth of the agreement. */
const TURN_MS = 5_000;
/** So far does each turn move the ids that are let in first: the golden section spreads them evenly. */
const TURN_STEP = 0.618_033_988_749_895;
const RANKS = 2 ** 32;

interface Waiting {
  readonly sinceMs: number;
  readonly start: () => void;
  readonly refuse: () => void;
}

export interface QuestionLine {
  /**
   * Runs `action` when it is its turn.
   * @throws IntercloudError BUSY, before `action` was run; CANCELLED when the asker has gone meanwhile; what `action` throws.
   */
  ask<T>(tokenId: Uint8Array, signal: AbortSignal, action: () => Promise<T>): Promise<T>;
}

export function createQuestionLine(clock: Clock): QuestionLine {
  // A Set keeps its members in the order in which they came, and those that are cancelled leave from the middle.
  const line = new Set<Waiting>();
  let running = 0;
  /** What part of those that come is let in. */
  let letIn = 1;
  let intervalAtMs = clock.nowMs();
  /** Since then. */
  let came = 0;
  let answered = 0;

  /** Lets in as many as are answered, and more or fewer by what is missing from the line that is kept, or too much. */
  function look(nowMs: number): void {
    const elapsedMs = nowMs - intervalAtMs;
    if (elapsedMs < INTERVAL_MS) return;
    const lineToKeep = (answered * LINE_MS) / elapsedMs;
    const wanted = answered + ((lineToKeep - line.size) * elapsedMs) / LINE_MS;
    const part = came === 0 ? 1 : Math.min(1, Math.max(LEAST, wanted / came));
    // half of it: a quarter of a second is a short time to count in
    letIn = (letIn + part) / 2;
    intervalAtMs = nowMs;
    came = 0;
    answered = 0;
  }

  function next(): void {
    const nowMs = clock.nowMs();
    for (const waiting of line) {
      if (running >= AT_ONCE) return;
      line.delete(waiting);
      if (nowMs - waiting.sinceMs > MAX_WAIT_MS) waiting.refuse();
      else waiting.start();
    }
  }

  /** Resolves when it is this one's turn. */
  function turn(tokenId: Uint8Array, nowMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => signal.removeEventListener("abort", onAbort);
      const waiting: Waiting = {
        sinceMs: nowMs,
        start() {
          leave();
          running += 1;
          resolve();
        },
        refuse() {
          leave();
          reject(busy(tokenId, nowMs));
        },
      };
      const onAbort = () => {
        line.delete(waiting);
        reject(cancelled(signal));
      };
      signal.addEventListener("abort", onAbort, { once: true });
      line.add(waiting);
      next();
    });
  }

  return {
    async ask(tokenId, signal, action) {
      const nowMs = clock.nowMs();
      look(nowMs);
      came += 1;
      if (signal.aborted) throw cancelled(signal);
      const isFull = line.size >= SHORT_LINE && rankOf(tokenId, nowMs) >= letIn;
      if (isFull || line.size >= MAX_WAITING) throw busy(tokenId, nowMs);
      await turn(tokenId, nowMs, signal);
      try {
        return await action();
      } finally {
        running -= 1;
        answered += 1;
        next();
      }
    },
  };
}

/** From 0, who is let in first, to 1. Ids are digests, so they are spread evenly. */
function rankOf(tokenId: Uint8Array, nowMs: number): number {
  const own = new DataView(tokenId.buffer, tokenId.byteOffset, tokenId.byteLength).getUint32(0) / RANKS;
  return (own + Math.floor(nowMs / TURN_MS) * TURN_STEP) % 1;
}

function cancelled({ reason }: AbortSignal): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the asker has gone", {}, reason);
}

/** To come back in one of the next two turns, and not all at once. */
function busy(tokenId: Uint8Array, nowMs: number): IntercloudError {
  const untilNextMs = TURN_MS - (nowMs % TURN_MS);
  const retryAfterMs = Math.ceil(untilNextMs + rankOf(tokenId, nowMs) * TURN_MS);
  return new IntercloudError("BUSY", "busy", "more is asked than can be answered in time", { retryAfterMs });
}
