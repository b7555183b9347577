/**
 * A write that the system refuses for want of room, in the middle of LevelDB's log: a limit on the size of files, which needs
 * no rights and fails in the same place as a full disk does.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../../node/store/index.ts";
import { AUDIT } from "../../support/audit-log.ts";
import { STORE_KEY } from "./written.ts";

const FILLER = join(import.meta.dirname, "filler.ts");
// In units of 512 bytes (POSIX): 512 KiB, room for a few of the filler's commits.
const FILE_SIZE_LIMIT = 1024;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "intercloud-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test("without room commits fail, nothing that was acknowledged is lost, and the store goes on", async () => {
  const limited = `ulimit -f ${FILE_SIZE_LIMIT}; exec "$0" "$@"`;
  const { stdout } = await promisify(execFile)("sh", ["-c", limited, process.execPath, FILLER, directory], {
    timeout: 50_000,
  });
  const report = JSON.parse(stdout);
  expect(report).toEqual({
    first: { stored: expect.any(Number), failure: "DISK_FULL full" },
    firstReadable: report.first.stored,
    deleting: "none",
    second: { stored: expect.any(Number), failure: "DISK_FULL full" },
    secondReadable: report.second.stored,
    body: "DISK_FULL full",
    bodyFiles: [],
  });
  expect(report.first.stored).toBeGreaterThan(2);
  expect(report.second.stored).toBeGreaterThan(2);

  const store = await openStore({ directory, key: STORE_KEY, audit: AUDIT });
  expect(store.recordCount).toBe(report.first.stored + report.second.stored - 2);
  await store.commit([{ kind: "put", key: "after", value: Uint8Array.of(1) }]);
  await store.purge();
  await store.close();
});
