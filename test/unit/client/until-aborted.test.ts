import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { orAborted, untilAborted } from "../../../client/until-aborted.ts";
import { bytesOf, collect, sourceOf } from "../../support/bytes.ts";

test("a source that comes to its end is passed on, and leaves no listener behind", async () => {
  const { signal } = new AbortController();
  const passed = await collect(untilAborted(sourceOf(bytesOf(10_000, 1), 10), signal));
  expect(Buffer.compare(passed, bytesOf(10_000, 1))).toBe(0);
  expect(Buffer.compare(await collect(untilAborted(sourceOf(passed, 10), undefined)), passed)).toBe(0);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a silent source ends with the signal, with an error of its own it ends with that", async () => {
  const controller = new AbortController();
  async function* silent(): AsyncIterable<Uint8Array> {
    yield bytesOf(10, 1);
    setImmediate(() => controller.abort(new Error("stopped")));
    await new Promise(() => undefined);
  }
  await expect(collect(untilAborted(silent(), controller.signal))).rejects.toThrow("stopped");
  await expect(collect(untilAborted(sourceOf(bytesOf(10, 1), 1), controller.signal))).rejects.toThrow("stopped");
  const failing = Promise.reject(new Error("its own"));
  await expect(orAborted(failing, new AbortController().signal)).rejects.toThrow("its own");
});

test("who wants no more of it ends the source", async () => {
  let isClosed = false;
  async function* source(): AsyncIterable<Uint8Array> {
    try {
      for (;;) yield bytesOf(10, 1);
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of untilAborted(source(), new AbortController().signal)) break;
  expect(isClosed).toBe(true);
});
