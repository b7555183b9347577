import { expect, test } from "vitest";
import { withRecentRecords } from "../../../node/store/recent-records.ts";
import type { Records } from "../../../node/store/records.ts";

const HEAD = new Uint8Array();
const value = (byte: number, lengthBytes = 8) => new Uint8Array(lengthBytes).fill(byte);

/** Records in memory that count what is asked of them, and can fail or wait. */
function slowRecords(maxBytes?: number) {
  const all = new Map<string, Uint8Array>();
  const disk = { asked: 0, failing: false, gate: Promise.resolve() };
  const records = {
    async getMany(keys: readonly string[]) {
      disk.asked += keys.length;
      const found = keys.map((key) => all.get(key));
      await disk.gate;
      return found;
    },
    async write(changes: Parameters<Records["write"]>[0]) {
      if (disk.failing) throw new Error("the disk is gone");
      for (const { key, sealed } of changes) {
        if (sealed === undefined) all.delete(key);
        else all.set(key, sealed);
      }
    },
    reopen: async () => {},
  } as unknown as Records;
  return { all, disk, recent: withRecentRecords(records, maxBytes) };
}

test("what was written, deleted or read is not asked for again", async () => {
  const { all, disk, recent } = slowRecords();
  all.set("old", value(1));
  await recent.write([{ key: "new", sealed: value(2) }], HEAD);
  await recent.write([{ key: "gone", sealed: undefined }], HEAD);
  for (let round = 0; round < 2; round += 1) {
    expect(await recent.getMany(["new", "gone", "old", "none"])).toEqual([value(2), undefined, value(1), undefined]);
  }
  expect(disk.asked).toBe(2);
});

test("after a write that failed, or a reopening, the disk is asked", async () => {
  const { disk, recent } = slowRecords();
  await recent.write([{ key: "a", sealed: value(1) }], HEAD);
  disk.failing = true;
  await expect(recent.write([{ key: "a", sealed: value(2) }], HEAD)).rejects.toThrow("gone");
  expect(await recent.getMany(["a"])).toEqual([value(1)]);
  expect(disk.asked).toBe(1);
  await recent.reopen();
  await recent.getMany(["a"]);
  expect(disk.asked).toBe(2);
});

test("what was read while it was replaced is not kept", async () => {
  const { all, disk, recent } = slowRecords();
  all.set("a", value(1));
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  const reading = recent.getMany(["a", "b"]);
  await recent.write([{ key: "a", sealed: value(2) }], HEAD);
  gate.resolve();
  expect(await reading).toEqual([value(1), undefined]);
  expect(await recent.getMany(["a"])).toEqual([value(2)]);
});

test("what has not been needed for longest is forgotten first", async () => {
  const { disk, recent } = slowRecords(3_000);
  for (const key of ["a", "b"]) await recent.write([{ key, sealed: value(1, 1_000) }], HEAD);
  await recent.getMany(["a"]);
  await recent.write([{ key: "c", sealed: value(1, 1_000) }], HEAD);
  await recent.getMany(["a", "c"]);
  expect(disk.asked).toBe(0);
  await recent.getMany(["b"]);
  expect(disk.asked).toBe(1);
  await recent.write([{ key: "long", sealed: value(1, 5_000) }], HEAD);
  await recent.getMany(["long"]);
  expect(disk.asked).toBe(2);
});
