import { describe, expect, it } from "vitest";
import { lockstep } from "../../../protocols/dealing/lockstep.ts";

/** Steps whose chunk for reader r holds [step, r]. */
function counter(steps: number, readers: number) {
  let made = 0;
  return {
    made: () => made,
    step: () => {
      if (made === steps) return undefined;
      const chunks = Array.from({ length: readers }, (_, reader) => Uint8Array.of(made, reader));
      made++;
      return chunks;
    },
  };
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<number[][]> {
  const all: number[][] = [];
  for await (const chunk of source) all.push([...chunk]);
  return all;
}

const pause = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("lockstep", () => {
  it("gives every reader its own chunks, in order and to the end", async () => {
    const source = counter(50, 3);
    const { readers } = lockstep(source.step, 3, 4);
    const results = await Promise.all(readers.map(drain));
    for (const [reader, chunks] of results.entries()) {
      expect(chunks).toEqual(Array.from({ length: 50 }, (_, step) => [step, reader]));
    }
  });

  it("lets no reader be more than a few steps ahead of the slowest", async () => {
    const source = counter(100, 3);
    const { readers } = lockstep(source.step, 3, 4);
    let slow = 0;
    const fast = Promise.all(readers.slice(1).map(drain));
    for await (const _chunk of readers[0] as AsyncIterable<Uint8Array>) {
      slow++;
      for (let turn = 0; turn < 5; turn++) await pause();
      expect(source.made()).toBeLessThanOrEqual(slow + 4);
    }
    expect((await fast).map((chunks) => chunks.length)).toEqual([100, 100]);
    expect(slow).toBe(100);
  });

  it("makes nothing before somebody reads", async () => {
    const source = counter(10, 2);
    lockstep(source.step, 2, 4);
    await pause();
    expect(source.made()).toBe(0);
  });

  it("stops the others when one reader goes away", async () => {
    const { readers } = lockstep(counter(1000, 2).step, 2, 4);
    const other = drain(readers[1] as AsyncIterable<Uint8Array>);
    const leaving = (async () => {
      for await (const _chunk of readers[0] as AsyncIterable<Uint8Array>) return;
    })();
    await leaving;
    await expect(other).rejects.toMatchObject({ code: "STOPPED" });
  });

  it("ends readers that wait when it is stopped, with the reason", async () => {
    const { readers, stop } = lockstep(counter(1000, 2).step, 2, 4);
    const waiting = drain(readers[0] as AsyncIterable<Uint8Array>);
    await pause();
    stop(new Error("the reason"));
    await expect(waiting).rejects.toThrow("the reason");
    await expect(drain(readers[1] as AsyncIterable<Uint8Array>)).rejects.toThrow("the reason");
  });

  it("passes the error of the producer on to everybody", async () => {
    const step = () => {
      throw new Error("no more randomness");
    };
    const { readers } = lockstep(step, 2, 4);
    for (const source of readers) await expect(drain(source)).rejects.toThrow("no more randomness");
  });

  it("tells who is behind", async () => {
    const { readers, stop, laggards } = lockstep(counter(1000, 3).step, 3, 4);
    expect(laggards()).toEqual([]);
    const fast = drain(readers[1] as AsyncIterable<Uint8Array>);
    await pause();
    expect(laggards()).toEqual([0, 2]);
    stop(new Error("enough"));
    await expect(fast).rejects.toThrow("enough");
  });
});
