import { expect, test } from "vitest";
import { causesAgainst, FIRST_MEETING_MS, type ReadinessInputs, tellsOfDamage } from "../../../node/readiness.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";

const READY: ReadinessInputs = {
  startedAtMs: 1_000,
  stopping: false,
  storeDamaged: false,
  freeBytes: 500,
  minFreeBytes: 100,
  otherMembers: 4,
  everConnected: true,
  nowMs: 2_000,
};
const codes = (change: Partial<ReadinessInputs>) => causesAgainst({ ...READY, ...change }).map(({ code }) => code);

test("nothing speaks against a node that is well", () => {
  expect(codes({})).toEqual([]);
});

test("each thing that does has a code", () => {
  expect(codes({ startedAtMs: undefined, freeBytes: undefined, everConnected: false })).toEqual(["STARTING"]);
  expect(codes({ stopping: true })).toEqual(["SHUTTING_DOWN"]);
  expect(codes({ storeDamaged: true })).toEqual(["STORE_DAMAGED"]);
  expect(codes({ freeBytes: 99 })).toEqual(["DISK_LOW"]);
  expect(codes({ everConnected: false })).toEqual(["NO_PEERS"]);
});

test("a node that met nobody is ready after a while, and one that is alone at once", () => {
  expect(codes({ everConnected: false, nowMs: 1_000 + FIRST_MEETING_MS })).toEqual([]);
  expect(codes({ everConnected: false, otherMembers: 0 })).toEqual([]);
});

test("only a damaged store is damage of the store", () => {
  expect(tellsOfDamage(new IntercloudError("STORE_DAMAGED", "damaged", ""))).toBe(true);
  expect(tellsOfDamage(new IntercloudError("BODY_DAMAGED", "damaged", ""))).toBe(false);
  expect(tellsOfDamage(new Error("x"))).toBe(false);
});
