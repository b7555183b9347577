import { defineConfig } from "vitest/config";

const project = (name: string, testTimeoutMs: number, fileParallelism: boolean) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: testTimeoutMs,
    hookTimeout: testTimeoutMs,
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
      project("e2e", 180_000, false),
      project("chaos", 600_000, false),
    ],
  },
});
