import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { createLifecycle, type Step } from "../../../runtime/lifecycle.ts";
import { createLog } from "../../../runtime/log.ts";
import { type ProcessEvents, runUntilSignal } from "../../../runtime/run-until-signal.ts";

/** Steps that write down what happens to them. */
function recorded(names: readonly string[], changes: Readonly<Record<string, Partial<Step>>> = {}) {
  const calls: string[] = [];
  const steps = names.map((name): Step => {
    const step: Step = { name, start: async () => {}, stop: async () => {}, ...changes[name] };
    return {
      name,
      start: () => {
        calls.push(`start ${name}`);
        return step.start();
      },
      stop: () => {
        calls.push(`stop ${name}`);
        return step.stop();
      },
    };
  });
  return { calls, steps };
}

const never = () => new Promise<void>(() => {});

test("starts in order and stops in reverse, once", async () => {
  const { calls, steps } = recorded(["a", "b", "c"]);
  const lifecycle = createLifecycle(steps);
  await lifecycle.start();
  expect(await lifecycle.stop()).toEqual([]);
  expect(await lifecycle.stop()).toEqual([]);
  expect(calls).toEqual(["start a", "start b", "start c", "stop c", "stop b", "stop a"]);
});

test.each([
  ["rejects", { start: () => Promise.reject(new Error("no port")) }],
  [
    "throws",
    {
      start: () => {
        throw new Error("no port");
      },
    },
  ],
])("a start that %s stops what has started", async (_, change) => {
  const { calls, steps } = recorded(["a", "b", "c"], { b: change });
  await expect(createLifecycle(steps).start()).rejects.toThrow("no port");
  expect(calls).toEqual(["start a", "start b", "stop a"]);
});

test("a step that hangs or fails does not keep the others from stopping", async () => {
  const failing = new Error("stuck file");
  const { calls, steps } = recorded(["a", "b", "c"], {
    b: { stop: () => Promise.reject(failing) },
    c: { stop: never },
  });
  const lifecycle = createLifecycle(steps, 60);
  await lifecycle.start();
  expect(await lifecycle.stop()).toEqual([
    { step: "c", error: expect.objectContaining({ message: expect.stringMatching(/not stopped after \d+ ms/) }) },
    { step: "b", error: failing },
  ]);
  expect(calls.slice(3)).toEqual(["stop c", "stop b", "stop a"]);
});

test("even if all hang, stopping ends and each was asked", async () => {
  const { calls, steps } = recorded(["a", "b", "c"], { a: { stop: never }, b: { stop: never }, c: { stop: never } });
  const lifecycle = createLifecycle(steps, 60);
  await lifecycle.start();
  expect((await lifecycle.stop()).length).toBe(3);
  expect(calls.slice(3)).toEqual(["stop c", "stop b", "stop a"]);
});

test("stop during a start waits for the step under way and goes no further", async () => {
  const gate = Promise.withResolvers<void>();
  const { calls, steps } = recorded(["a", "b", "c"], { b: { start: () => gate.promise } });
  const lifecycle = createLifecycle(steps);
  const starting = lifecycle.start();
  while (!calls.includes("start b")) await Promise.resolve();
  const stopping = lifecycle.stop();
  gate.resolve();
  await Promise.all([starting, stopping]);
  expect(calls).toEqual(["start a", "start b", "stop b", "stop a"]);
});

/** A process that only notes how it would have ended. */
class FakeProcess extends EventEmitter implements ProcessEvents {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

function harness(changes: Readonly<Record<string, Partial<Step>>> = {}, totalStopMs?: number) {
  const lines: string[] = [];
  const log = createLog({ level: "debug", destination: { write: (line: string) => void lines.push(line) } });
  const { calls, steps } = recorded(["a", "b"], changes);
  const events = new FakeProcess();
  const running = runUntilSignal(createLifecycle(steps, totalStopMs), log, events);
  return { lines, calls, events, running };
}

test.each(["SIGTERM", "SIGINT"])("%s stops in order and says 0", async (signal) => {
  const { calls, events, running } = harness();
  events.emit(signal, signal);
  expect(await running).toBe(0);
  expect(calls.filter((call) => call.startsWith("stop")).length).toBe(calls.length / 2);
  expect(events.exits).toEqual([]);
  expect(events.eventNames()).toEqual([]);
});

test("a second signal ends the process at once", async () => {
  const { events, running } = harness({ b: { stop: never } }, 60);
  events.emit("SIGTERM", "SIGTERM");
  events.emit("SIGINT", "SIGINT");
  expect(events.exits).toEqual([1]);
  await running;
});

test("a stop that was not clean is logged and says 1", async () => {
  const { lines, calls, events, running } = harness({ a: { stop: () => Promise.reject(new Error("stuck")) } });
  while (calls.length < 2) await Promise.resolve();
  events.emit("SIGTERM", "SIGTERM");
  expect(await running).toBe(1);
  expect(lines.some((line) => line.includes("step-not-stopped") && line.includes("stuck"))).toBe(true);
});

test.each(["uncaughtException", "unhandledRejection"])("%s is logged and ends the process with 1", async (event) => {
  const { lines, events, running } = harness();
  events.emit(event, new Error("bug"));
  expect(events.exits).toEqual([1]);
  expect(lines.some((line) => line.includes("crashed") && line.includes("bug"))).toBe(true);
  events.emit("SIGTERM", "SIGTERM");
  await running;
});

test("an error at start comes out, and nobody listens to signals any more", async () => {
  const { calls, events, running } = harness({ b: { start: () => Promise.reject(new Error("no port")) } });
  await expect(running).rejects.toThrow("no port");
  expect(calls).toEqual(["start a", "start b", "stop a"]);
  expect(events.eventNames()).toEqual([]);
});
