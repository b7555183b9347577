import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kernelWasmBase64 } from "../../../protocols/field/kernel-wasm.ts";
import { buildKernel, FIELD_DIRECTORY, KERNEL_MODULE, KERNEL_WASM } from "../../../scripts/build-kernel.ts";

// A difference here means: run `npm run build:kernel` and commit what it writes.
describe("the committed kernel", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
    await buildKernel(directory);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it("is what its source compiles to", async () => {
    const built = await readFile(path.join(directory, KERNEL_WASM));
    const committed = await readFile(path.join(FIELD_DIRECTORY, KERNEL_WASM));
    expect(built.toString("hex")).toBe(committed.toString("hex"));
  });

  it("is the one that the program loads", async () => {
    const committed = await readFile(path.join(FIELD_DIRECTORY, KERNEL_WASM));
    expect(kernelWasmBase64).toBe(committed.toString("base64"));
    const [built, module] = await Promise.all(
      [directory, FIELD_DIRECTORY].map((folder) => readFile(path.join(folder, KERNEL_MODULE), "utf8")),
    );
    expect(module).toBe(built);
  });
});
