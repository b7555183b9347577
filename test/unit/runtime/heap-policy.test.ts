import { expect, test } from "vitest";
import { createHeapPolicy } from "../../../runtime/heap-policy.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const CONTEXT = { from: "somebody", requestId: "1", signal: new AbortController().signal };

function watchedHandler() {
  const clock = createManualClock();
  const { advance } = clock;
  const flags: string[] = [];
  const answer = Promise.withResolvers<string>();
  const policy = createHeapPolicy(clock, true, (flag) => flags.push(flag));
  const { asks } = policy({ asks: { now: async () => "done", later: () => answer.promise } });
  return { flags, advance, answer, ask: (method: string) => asks?.[method]?.({}, CONTEXT) };
}

test("the heap may grow from the first question on, until nobody has asked for a second", async () => {
  const { flags, advance, ask } = watchedHandler();
  expect(await ask("now")).toBe("done");
  expect(flags).toEqual(["--no-optimize-for-size"]);
  await advance(600);
  await ask("now");
  await advance(600);
  expect(flags, "the second question was 600 ms ago").toHaveLength(1);
  await advance(600);
  expect(flags).toEqual(["--no-optimize-for-size", "--optimize-for-size"]);
  await ask("now");
  expect(flags.at(-1)).toBe("--no-optimize-for-size");
});

test("a question that takes long keeps it so", async () => {
  const { flags, advance, answer, ask } = watchedHandler();
  const asked = ask("later");
  for (let i = 0; i < 5; i += 1) await advance(1_000);
  expect(flags).toHaveLength(1);
  answer.resolve("at last");
  await asked;
  for (let i = 0; i < 2; i += 1) await advance(1_000);
  expect(flags.at(-1)).toBe("--optimize-for-size");
});

test("a question that fails ends, too", async () => {
  const { flags, advance, answer, ask } = watchedHandler();
  const asked = ask("later");
  answer.reject(new Error("no"));
  await expect(asked).rejects.toThrow("no");
  for (let i = 0; i < 2; i += 1) await advance(1_000);
  expect(flags.at(-1)).toBe("--optimize-for-size");
});

test("a process that was not started small is left alone", () => {
  const flags: string[] = [];
  const handlers = { asks: { now: async () => null } };
  expect(createHeapPolicy(createManualClock(), false, (flag) => flags.push(flag))(handlers)).toBe(handlers);
});
