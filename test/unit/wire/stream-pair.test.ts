import { describe, expect, test } from "vitest";
import { createStreamPair } from "../../../protocols/wire/stream-pair.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { settle } from "../../support/manual-clock.ts";
import { readAll } from "../../support/streams.ts";

describe("a pair of streams in memory", () => {
  test("carries bytes both ways and ends each way on its own", async () => {
    const [a, b] = createStreamPair("A", "B");
    expect([a.peer, b.peer]).toEqual(["B", "A"]);
    await a.write([Buffer.from("to "), new Uint8Array(), Buffer.from("b")]);
    await a.close();
    expect((await readAll(b)).toString()).toBe("to b");
    await b.write([Buffer.from("to a")]);
    await b.close();
    expect((await readAll(a)).toString()).toBe("to a");
    expect(await a.read()).toBeNull();
    a.abort();
    expect([a.broken.aborted, b.broken.aborted]).toEqual([false, false]);
  });

  test("a writer waits while the reader is behind, and takenBytes tells how far it is", async () => {
    const [a, b] = createStreamPair("A", "B");
    let written = 0;
    const writing = (async () => {
      for (; written < 10_000_000; written += 100_000) await a.write([new Uint8Array(100_000)]);
    })();
    await settle();
    expect(written).toBeLessThan(1_000_000);
    expect(a.takenBytes()).toBe(0);
    await b.read();
    expect(a.takenBytes()).toBe(100_000);
    const reading = readAll(b);
    await writing;
    await a.close();
    expect((await reading).length).toBe(9_900_000);
  });

  test("a break is told to both: what arrived is read, then TRUNCATED; writers get UNREACHABLE", async () => {
    const [a, b] = createStreamPair("A", "B");
    const bytes = bytesOf(600_000, 1);
    const blocked = errorOf(a.write([bytes]));
    await settle();
    a.abort(new Error("cut"));
    expect(await blocked).toMatchObject({ code: "UNREACHABLE", details: { peers: ["B"] } });
    expect([a.broken.aborted, b.broken.aborted]).toEqual([true, true]);
    expect(await b.read()).toEqual(bytes);
    expect(await errorOf(b.read())).toMatchObject({ code: "TRUNCATED", details: { peers: ["A"] } });
    expect(await errorOf(b.write([bytes]))).toMatchObject({ code: "UNREACHABLE" });
  });

  test("an end that came before the break stays proven", async () => {
    const [a, b] = createStreamPair("A", "B");
    await a.write([Buffer.from("all")]);
    await a.close();
    a.abort();
    expect((await readAll(b)).toString()).toBe("all");
    expect(b.broken.aborted).toBe(true);
  });

  test("a waiting reader is woken by bytes, by the end and by a break", async () => {
    const [a, b] = createStreamPair("A", "B");
    const first = b.read();
    await a.write([Buffer.from("x")]);
    expect(await first).toEqual(Buffer.from("x"));
    const second = b.read();
    await a.close();
    expect(await second).toBeNull();
    const third = a.read();
    b.abort();
    expect(await errorOf(third)).toMatchObject({ code: "TRUNCATED" });
  });

  test("onOver is called when both sides have ended, or at a break", async () => {
    let over = 0;
    const [a, b] = createStreamPair("A", "B", () => (over += 1));
    await a.close();
    expect(over).toBe(0);
    await b.close();
    expect(over).toBe(1);
    const [c] = createStreamPair("A", "B", () => (over += 1));
    c.abort();
    expect(over).toBe(2);
  });
});
