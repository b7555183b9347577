/**
 * Compiles the field kernel: `protocols/field/kernel/assembly/kernel.ts` (AssemblyScript) -> `kernel/kernel.wasm`, and from its
 * bytes `kernel-wasm.ts`, which is what the program imports: a module needs no file access and no path to find it.
 * All three are committed; `test/unit/field/kernel-build.test.ts` runs this into a temporary directory and compares.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import asc from "assemblyscript/asc";

const ROOT = path.dirname(import.meta.dirname);

/** Paths below the field's folder, here and in the directory that `buildKernel` writes to. */
export const KERNEL_WASM = "kernel/kernel.wasm";
export const KERNEL_MODULE = "kernel-wasm.ts";
export const FIELD_DIRECTORY = path.join(ROOT, "protocols/field");

/** Writes KERNEL_WASM and KERNEL_MODULE below `directory`. Throws what the compiler reports. */
export async function buildKernel(directory: string): Promise<void> {
  const wasmFile = path.join(directory, KERNEL_WASM);
  await mkdir(path.dirname(wasmFile), { recursive: true });
  const result = await asc.main([
    "kernel/assembly/kernel.ts",
    ...["--baseDir", FIELD_DIRECTORY],
    ...["--outFile", path.relative(FIELD_DIRECTORY, wasmFile)],
    "-O3",
    ...["--enable", "simd,relaxed-simd"],
    ...["--runtime", "stub"],
  ]);
  if (result.error !== null) throw new Error(`the kernel does not compile: ${result.stderr.toString()}`);
  await writeFile(path.join(directory, KERNEL_MODULE), moduleOf(await readFile(wasmFile)));
}

/** The text of KERNEL_MODULE for these bytes. */
export function moduleOf(wasm: Uint8Array): string {
  return [
    `/** The bytes of ${KERNEL_WASM}. Written by scripts/build-kernel.ts; do not edit. */`,
    "export const kernelWasmBase64 =",
    `  "${Buffer.from(wasm).toString("base64")}";`,
    "",
  ].join("\n");
}

if (process.argv[1] === import.meta.filename) await buildKernel(FIELD_DIRECTORY);
