/**
 * The kernel that processes use: WebAssembly SIMD, 16 bytes at a time, in time that does not depend on the bytes.
 *
 * WebAssembly sees its own memory only, so bytes are copied in and out block by block. Shares and messages pass through that
 * memory; it is zero again when a call returns, so nothing has to be wiped by the caller. That costs little, because the
 * blocks are small enough to be in the first-level cache still, and a sum has to start from zeros anyway.
 */
import { allocateOutputs, checkCoefficient, checkCombination, checkSameLength, type FieldKernel } from "./kernel.ts";
import { kernelWasmBase64 } from "./kernel-wasm.ts";

/** What `kernel/assembly/kernel.ts` exports. */
interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly blockBytes: { readonly value: number };
  readonly maxTargets: { readonly value: number };
  readonly source: { readonly value: number };
  readonly targets: { readonly value: number };
  readonly coefficients: { readonly value: number };
  addScaled(targetCount: number, lengthBytes: number): void;
  add(lengthBytes: number): void;
}

// TypeScript declares this global with the browser's library only.
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

// Up to here a plain loop is faster than copying in and out.
const SHORT_BYTES = 64;

export interface SimdKernel extends FieldKernel {
  /** target ^= source. Same lengths, any length; the two are the same bytes or do not overlap. Throws LENGTH_MISMATCH. */
  xorInto(target: Uint8Array, source: Uint8Array): void;
}

/** A kernel with a memory of its own (about 150 KiB). Calls are synchronous, so one per thread is enough. */
export function createSimdKernel(): SimdKernel {
  const module = new WebAssembly.Module(Buffer.from(kernelWasmBase64, "base64"));
  const wasm = new WebAssembly.Instance(module).exports as KernelExports;
  const memory = new Uint8Array(wasm.memory.buffer);
  const blockBytes = wasm.blockBytes.value;
  const maxTargets = wasm.maxTargets.value;
  const sourceAt = wasm.source.value;
  const coefficientsAt = wasm.coefficients.value;
  const targetsAt = Array.from({ length: maxTargets }, (_, k) => wasm.targets.value + k * blockBytes);

  // The vectors of a call end at a multiple of 16, and so does what they left behind.
  const wipe = (at: number, lengthBytes: number) => memory.fill(0, at, at + ((lengthBytes + 15) & ~15));

  /** Adds to `target`, block by block, what `addBlock` makes of `source`. */
  const addInto = (target: Uint8Array, source: Uint8Array, addBlock: (lengthBytes: number) => void) => {
    const targetAt = targetsAt[0]!;
    for (let start = 0; start < source.length; start += blockBytes) {
      const end = Math.min(start + blockBytes, source.length);
      memory.set(source.subarray(start, end), sourceAt);
      memory.set(target.subarray(start, end), targetAt);
      addBlock(end - start);
      target.set(memory.subarray(targetAt, targetAt + end - start), start);
    }
    wipe(sourceAt, Math.min(blockBytes, source.length));
    wipe(targetAt, Math.min(blockBytes, source.length));
  };

  const kernel: SimdKernel = {
    addScaled(target, source, coefficient) {
      checkSameLength(target, source);
      checkCoefficient(coefficient);
      if (coefficient === 1) return kernel.xorInto(target, source);
      memory[coefficientsAt] = coefficient;
      addInto(target, source, (lengthBytes) => wasm.addScaled(1, lengthBytes));
    },

    xorInto(target, source) {
      checkSameLength(target, source);
      if (target.length > SHORT_BYTES) addInto(target, source, wasm.add);
      else for (let index = 0; index < target.length; index++) target[index]! ^= source[index]!;
    },

    combine(sources, coefficients) {
      const outputs = allocateOutputs(sources, coefficients.length);
      kernel.combineInto(outputs, sources, coefficients);
      return outputs;
    },

    combineInto(outputs, sources, coefficients) {
      checkCombination(outputs, sources, coefficients);
      const lengthBytes = outputs[0]?.length ?? 0;
      for (let first = 0; first < outputs.length; first += maxTargets) {
        const group = outputs.slice(first, first + maxTargets);
        const rows = coefficients.slice(first, first + maxTargets);
        for (let start = 0; start < lengthBytes; start += blockBytes) {
          const end = Math.min(start + blockBytes, lengthBytes);
          for (let j = 0; j < sources.length; j++) {
            memory.set(sources[j]!.subarray(start, end), sourceAt);
            for (let k = 0; k < rows.length; k++) memory[coefficientsAt + k] = rows[k]![j]!;
            wasm.addScaled(group.length, end - start);
          }
          for (let k = 0; k < group.length; k++) {
            const targetAt = targetsAt[k]!;
            group[k]!.set(memory.subarray(targetAt, targetAt + end - start), start);
            wipe(targetAt, end - start); // the next sum starts from zero
          }
        }
      }
      wipe(sourceAt, Math.min(blockBytes, lengthBytes));
    },
  };
  return kernel;
}

/** The kernel of this thread. */
export const simdKernel: SimdKernel = createSimdKernel();

/** target ^= source with the kernel of this thread. Same lengths, any length, no partial overlap. Throws LENGTH_MISMATCH. */
export const xorInto = simdKernel.xorInto;
