import { createCipheriv } from "node:crypto";
import { describe, expect, it } from "vitest";
import { release, wipe } from "../../../protocols/crypto/release.ts";

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

describe("wipe", () => {
  it("overwrites what it cannot release", () => {
    const whole = new Uint8Array(10).fill(7);
    wipe(whole.subarray(2, 4));
    expect([...whole]).toEqual([7, 7, 0, 0, 7, 7, 7, 7, 7, 7]);
  });
});
