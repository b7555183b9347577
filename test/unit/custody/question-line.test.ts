import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createQuestionLine } from "../../../protocols/custody/server/question-line.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const idOf = (i: number) => new Uint8Array(createHash("sha256").update(`token ${i}`).digest());
const never = new AbortController().signal;

/** A provider that answers `perMs` questions each millisecond, the oldest first. */
function provider(clock: ReturnType<typeof createManualClock>, perMs: number) {
  const line = createQuestionLine(clock);
  const working: (() => void)[] = [];
  const seen = { ran: 0, answered: new Set<number>(), busy: new Map<number, IntercloudError>(), longestMs: 0 };
  let credit = 0;
  return {
    seen,
    ask(i: number, signal = never): Promise<void> {
      const askedAtMs = clock.nowMs();
      const answer = line.ask(idOf(i), signal, async () => {
        seen.ran += 1;
        await new Promise<void>((resolve) => working.push(resolve));
      });
      return answer.then(
        () => {
          seen.answered.add(i);
          seen.longestMs = Math.max(seen.longestMs, clock.nowMs() - askedAtMs);
        },
        (error: IntercloudError) => {
          seen.busy.set(i, error);
        },
      );
    },
    /** A millisecond of work. */
    work() {
      credit = Math.min(credit + perMs, 16);
      for (; credit >= 1 && working.length > 0; credit -= 1) working.shift()?.();
    },
    working,
  };
}

/** Asks `perMs` questions each millisecond. @returns the number of the next one */
async function offer(
  clock: ReturnType<typeof createManualClock>,
  providers: readonly ReturnType<typeof provider>[],
  { perMs, forMs, from }: { readonly perMs: number; readonly forMs: number; readonly from: number },
): Promise<number> {
  let next = from;
  for (let ms = 1; ms <= forMs; ms += 1) {
    for (; next < from + Math.floor(ms * perMs); next += 1) for (const each of providers) void each.ask(next);
    await clock.advance(1);
    for (const each of providers) each.work();
  }
  return next;
}

test("what can be answered in time is answered, whatever the id", async () => {
  const clock = createManualClock();
  const calm = provider(clock, 1);
  await offer(clock, [calm], { perMs: 0.8, forMs: 3_000, from: 0 });
  expect(calm.seen.busy.size).toBe(0);
  expect(calm.seen.answered.size).toBeGreaterThan(2_380);
});

test("no more than sixteen are worked on at once", async () => {
  const clock = createManualClock();
  const { ask, working } = provider(clock, 0);
  for (let i = 0; i < 100; i += 1) void ask(i);
  await clock.advance(1);
  expect(working.length).toBe(16);
});

test("at three times what it can do it does as much as it can, soon, and refuses the others before any work", async () => {
  const clock = createManualClock();
  const flooded = provider(clock, 0.5);
  const { seen } = flooded;
  const asked = await offer(clock, [flooded], { perMs: 1.5, forMs: 10_000, from: 0 });
  expect(seen.answered.size).toBeGreaterThan(0.9 * 0.5 * 10_000);
  expect(seen.longestMs).toBeLessThan(2_500);
  expect(seen.ran).toBeLessThanOrEqual(seen.answered.size + 16);
  expect(seen.answered.size + seen.busy.size).toBeGreaterThan(asked - 1_200);
  for (const { code, status, details } of seen.busy.values()) {
    expect([code, status]).toEqual(["BUSY", "busy"]);
    expect(details.retryAfterMs).toBeGreaterThan(0);
    expect(details.retryAfterMs).toBeLessThanOrEqual(10_000);
  }
});

test("providers that can do different amounts let in the same ones", async () => {
  const clock = createManualClock();
  const [slow, fast] = [provider(clock, 0.4), provider(clock, 0.6)];
  await offer(clock, [slow, fast], { perMs: 1.5, forMs: 10_000, from: 0 });
  const both = [...slow.seen.answered].filter((i) => fast.seen.answered.has(i)).length;
  // chance would make it 40 %
  expect(both / slow.seen.answered.size).toBeGreaterThan(0.9);
});

test("when the flood is over, everybody is let in at once", async () => {
  const clock = createManualClock();
  const flooded = provider(clock, 0.5);
  const next = await offer(clock, [flooded], { perMs: 2, forMs: 5_000, from: 0 });
  const refusedInFlood = flooded.seen.busy.size;
  expect(refusedInFlood).toBeGreaterThan(5_000);
  await offer(clock, [flooded], { perMs: 0, forMs: 1_500, from: next }); // those in line
  await offer(clock, [flooded], { perMs: 0.4, forMs: 2_000, from: next });
  expect(flooded.seen.busy.size).toBe(refusedInFlood);
});

test("who is refused in one turn is let in in another", async () => {
  const clock = createManualClock();
  const flooded = provider(clock, 0.5);
  const letIn = new Set<number>();
  for (let turn = 0; turn < 8; turn += 1) {
    flooded.seen.answered.clear();
    // The same hundred deposits are asked for again and again.
    for (let ms = 0; ms < 5_000; ms += 1) {
      for (let k = 0; k < 2; k += 1) void flooded.ask((2 * ms + k) % 100);
      await clock.advance(1);
      flooded.work();
    }
    if (turn === 0) continue; // until the flood was noticed everybody was let in
    expect(flooded.seen.answered.size).toBeLessThan(90);
    for (const i of flooded.seen.answered) letIn.add(i);
  }
  expect(letIn.size).toBe(100);
});

test("who has gone is not worked for, and does not hold up who waits behind", async () => {
  const clock = createManualClock();
  const { ask, working, seen } = provider(clock, 0);
  for (let i = 0; i < 16; i += 1) void ask(i);
  const gone = new AbortController();
  const left = ask(16, gone.signal);
  const stays = ask(17);
  gone.abort();
  await left;
  expect(seen.busy.get(16)?.code).toBe("CANCELLED");
  working.shift()?.();
  await clock.advance(1);
  expect(seen.ran).toBe(17);
  working.pop()?.();
  await stays;
  expect(seen.answered.has(17)).toBe(true);
  await ask(18, AbortSignal.abort());
  expect(seen.busy.get(18)?.code).toBe("CANCELLED");
});

test("who has waited too long is refused without any work", async () => {
  const clock = createManualClock();
  const { ask, working, seen } = provider(clock, 0);
  for (let i = 0; i < 20; i += 1) void ask(i);
  await clock.advance(3_500);
  working.shift()?.();
  await clock.advance(1);
  expect(seen.ran).toBe(16);
  expect(seen.busy.size).toBe(4);
});

test("a question that fails makes room for the next", async () => {
  const clock = createManualClock();
  const line = createQuestionLine(clock);
  const fail = () => Promise.reject(new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "no"));
  for (let i = 0; i < 50; i += 1)
    await expect(line.ask(idOf(i), never, fail)).rejects.toMatchObject({ code: "NO_SUCH_DEPOSIT" });
});
