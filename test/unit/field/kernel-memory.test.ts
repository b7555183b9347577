import { afterEach, describe, expect, it, vi } from "vitest";
import { createSimdKernel } from "../../../protocols/field/index.ts";
import { patternBytes } from "./reference.ts";

afterEach(() => vi.unstubAllGlobals());

/** A kernel, and the memory of its WebAssembly instance. */
function spiedKernel() {
  const memories: Uint8Array[] = [];
  const real = (globalThis as unknown as { WebAssembly: { Module: unknown; Instance: new (module: object) => object } })
    .WebAssembly;
  class Instance extends real.Instance {
    constructor(module: object) {
      super(module);
      const { memory } = (this as unknown as { exports: { memory: { buffer: ArrayBuffer } } }).exports;
      memories.push(new Uint8Array(memory.buffer));
    }
  }
  vi.stubGlobal("WebAssembly", { Module: real.Module, Instance });
  const kernel = createSimdKernel();
  const [memory] = memories;
  if (memory === undefined) throw new Error("the kernel made no instance");
  return { kernel, memory };
}

describe("the memory of the SIMD kernel", () => {
  it.each([1, 15, 17, 65, 1000, 16_384, 16_385, 50_001])("keeps nothing of %d bytes after a call", (lengthBytes) => {
    const { kernel, memory } = spiedKernel();
    const buffers = Array.from({ length: 3 }, (_, j) => patternBytes(lengthBytes, j));
    const rows = Array.from({ length: 11 }, (_, k) => [k + 2, k + 3, k + 4]);
    // Coefficients are public and stay. On zeros these calls leave the memory as it was, but for all coefficients being 0.
    const snapshot = () => {
      kernel.combine(
        [new Uint8Array(1)],
        Array.from({ length: 8 }, () => [0]),
      );
      return memory.slice();
    };
    const before = snapshot();
    kernel.addScaled(patternBytes(lengthBytes, 9), buffers[0] ?? new Uint8Array(0), 77);
    const afterAddScaled = snapshot();
    kernel.xorInto(patternBytes(lengthBytes, 9), buffers[1] ?? new Uint8Array(0));
    const afterXor = snapshot();
    kernel.combine(buffers, rows);
    const afterCombine = snapshot();
    for (const after of [afterAddScaled, afterXor, afterCombine]) expect(Buffer.compare(after, before)).toBe(0);
  });
});
