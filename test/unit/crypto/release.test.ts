import { createCipheriv } from "node:crypto";
import { describe, expect, it } from "vitest";
import { markPassing, release, releasePassed, wipe } from "../../../protocols/crypto/release.ts";

describe("release", () => {
  it("gives back the memory of bytes that have it for themselves", () => {
    const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32), Buffer.alloc(16));
    for (const bytes of [new Uint8Array(10), cipher.update(Buffer.alloc(100_000)), cipher.update(Buffer.alloc(10))]) {
      release(bytes);
      expect(bytes.length).toBe(0);
    }
  });

  it("leaves shared memory alone", () => {
    const whole = new Uint8Array(10).fill(7);
    for (const part of [whole.subarray(0, 9), whole.subarray(1)]) release(part);
    release(Buffer.from("in the pool"));
    const between = new Uint8Array(new SharedArrayBuffer(10)).fill(7);
    release(between);
    expect([...whole, ...between]).toEqual(Array(20).fill(7));
  });

  it("of nothing is nothing", () => {
    release(new Uint8Array());
  });
});

describe("releasePassed", () => {
  it("gives memory back when the last of what passes has been read", () => {
    const bytes = markPassing(new Uint8Array(100_000));
    for (const part of [bytes.subarray(0, 99_999), bytes.subarray(10, 20)]) releasePassed(part);
    expect(bytes.length).toBe(100_000);
    releasePassed(bytes.subarray(99_999));
    expect(bytes.length).toBe(0);
  });

  it("counts what lies in front only when it has been read", () => {
    const memory = () => new Uint8Array(100_000);
    const [withHeader, withMore, withRest] = [memory(), memory(), memory()];
    releasePassed(markPassing(withHeader.subarray(12), 12));
    releasePassed(markPassing(withMore.subarray(13), 12));
    releasePassed(markPassing(withRest.subarray(0, 99_999), 12));
    expect([withHeader.length, withMore.length, withRest.length]).toEqual([0, 100_000, 100_000]);
  });

  it("leaves alone what nobody marked, and what is small enough to come from a pool", () => {
    const unmarked = new Uint8Array(100_000);
    const small = markPassing(new Uint8Array(1_000));
    releasePassed(unmarked);
    releasePassed(small);
    expect([unmarked.length, small.length]).toEqual([100_000, 1_000]);
  });
});

describe("wipe", () => {
  it("overwrites what it cannot release", () => {
    const whole = new Uint8Array(10).fill(7);
    wipe(whole.subarray(2, 4));
    expect([...whole]).toEqual([7, 7, 0, 0, 7, 7, 7, 7, 7, 7]);
  });
});
