/**
 * The time of a simulation. It moves only when everybody waits for it, from one thing that falls due to the next; so hours take as long as what
 * happens in them, and the same things happen in the same order each time.
 */
import type { Clock } from "../../../protocols/wire/clock.ts";

export interface Timeline extends Clock {
  /**
   * Goes on until `isOver`.
   * @throws Error when nobody waits for anything any more, or when it would take longer than `limitMs` of this time.
   */
  run(isOver: () => boolean, limitMs: number): Promise<void>;
  /** Lets so much time pass. */
  pass(byMs: number): Promise<void>;
  /** Nothing falls due any more: what waits, waits for ever. */
  stop(): void;
}

interface Due {
  readonly atMs: number;
  readonly order: number;
  action: (() => void) | undefined;
}

/** More than a hundred times what the longest run takes. */
const MOST_STEPS = 1_000_000;

/** So many turns of the event loop come between two steps of the time: some parts of the code leave the loop to others once or twice. */
const TURNS = 2;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createTimeline(startMs: number): Timeline {
  const heap: Due[] = [];
  let nowMs = startMs;
  let order = 0;
  let steps = 0;

  const isBefore = (a: Due, b: Due) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  const push = (due: Due) => {
    heap.push(due);
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!isBefore(heap[i]!, heap[parent]!)) return;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  };
  const pop = (): Due | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left;
      if (right < heap.length && isBefore(heap[right]!, heap[least]!)) least = right;
      if (least === i) return first;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  };
  const next = (): Due | undefined => {
    while (heap[0] !== undefined && heap[0].action === undefined) pop();
    return heap[0];
  };
  const step = () => {
    const due = pop();
    if (due?.action === undefined) return;
    nowMs = Math.max(nowMs, due.atMs);
    const { action } = due;
    due.action = undefined;
    action();
  };
  const settle = async () => {
    for (let turns = 0; turns < TURNS; turns += 1) await turn();
  };

  return {
    nowMs: () => nowMs,
    after(delayMs, action) {
      // as the system has it, in whole milliseconds
      const due: Due = { atMs: nowMs + Math.ceil(Math.max(0, delayMs)), order: order++, action };
      push(due);
      return () => {
        due.action = undefined;
      };
    },
    async run(isOver, limitMs) {
      const untilMs = nowMs + limitMs;
      for (;;) {
        await settle();
        if (isOver()) return;
        const due = next();
        if (due === undefined) throw new Error("it hangs: nobody does anything, and nobody waits for the time");
        if (due.atMs > untilMs) throw new Error("it hangs: it takes longer than anybody should have to wait");
        steps += 1;
        if (steps > MOST_STEPS) throw new Error("it hangs: it goes on for ever, and hardly any time passes");
        step();
      }
    },
    async pass(byMs) {
      const untilMs = nowMs + byMs;
      await settle();
      for (let due = next(); due !== undefined && due.atMs <= untilMs; due = next()) {
        step();
        await settle();
      }
      nowMs = untilMs;
    },
    stop() {
      heap.length = 0;
    },
  };
}
