import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const project = (name: string, testTimeoutMs: number, fileParallelism: boolean) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: testTimeoutMs,
    hookTimeout: testTimeoutMs,
    // By itself vitest leaves a core to its own process, which does nothing while the tests run.
    ...(fileParallelism && { maxWorkers: availableParallelism() }),
    fileParallelism,
    // Processes rather than threads: a fault in native code (LevelDB) then fails one file and not the whole run, silently.
    pool: "forks" as const,
  },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", 20_000, true),
      project("integration", 60_000, true),
      project("e2e", 180_000, true),
      project("chaos", 600_000, false),
    ],
  },
});
