import { expect, test } from "vitest";
import { tee } from "../../../protocols/custody/server/tee.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";

const MESSAGE = bytesOf(100_000, 1);

test("every branch gets every byte, in memory of its own", async () => {
  const [first, second, third] = tee(sourceOf(MESSAGE.slice(), 997), 3);
  const spoil = async (branch: AsyncIterable<Uint8Array>) => {
    for await (const chunk of branch) chunk.fill(0);
  };
  const [one, , three] = await Promise.all([collect(first!), spoil(second!), collect(third!)]);
  expect(one).toEqual(MESSAGE);
  expect(three).toEqual(MESSAGE);
});

test("memory of its own also when the source gives Buffers", async () => {
  const [first, second] = tee(sourceOf(Buffer.from(MESSAGE), 997), 2);
  const spoil = async (branch: AsyncIterable<Uint8Array>) => {
    for await (const chunk of branch) chunk.fill(0);
  };
  const [one] = await Promise.all([collect(second!), spoil(first!)]);
  expect(Buffer.compare(one, MESSAGE)).toBe(0);
});

test("a slow branch holds the source back", async () => {
  let taken = 0;
  async function* counted() {
    for (; taken < 1_000; taken += 1) yield new Uint8Array(10);
  }
  const [fast, slow] = tee(counted(), 2);
  const reading = collect(fast!);
  const iterator = slow![Symbol.asyncIterator]();
  await iterator.next();
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(taken).toBeLessThan(20);
  while (!(await iterator.next()).done);
  expect(await reading).toHaveLength(10_000);
});

test("when the source fails, or a branch is left, every branch fails", async () => {
  async function* failing() {
    yield new Uint8Array(10);
    throw new Error("the disk is gone");
  }
  for (const error of await Promise.all(tee(failing(), 2).map((branch) => errorOf(collect(branch))))) {
    expect(error).toMatchObject({ message: "the disk is gone" });
  }
  const [left, other] = tee(sourceOf(MESSAGE.slice(), 100), 2);
  for await (const _ of left!) break;
  expect(await errorOf(collect(other!))).toMatchObject({ code: "STOPPED" });
});

test("a branch that is left does not wait for a source that hangs", async () => {
  async function* hanging() {
    yield new Uint8Array(10);
    await new Promise(() => {});
  }
  const [left, other] = tee(hanging(), 2);
  const reading = errorOf(collect(other!));
  for await (const _ of left!) break;
  expect(await reading).toMatchObject({ code: "STOPPED" });
});
