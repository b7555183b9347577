import { expect, test } from "vitest";
import { IntercloudError, RemoteError, STATUSES } from "../../../protocols/wire/errors.ts";
import { exitCodeOf } from "../../../runtime/exit-codes.ts";

test("every status has the exit code of the design", () => {
  const codes = Object.fromEntries(
    STATUSES.map((status) => [status, exitCodeOf(new IntercloudError("X", status, "x"))]),
  );
  expect(codes).toEqual({
    "bad-request": 2,
    refused: 3,
    expired: 3,
    replayed: 3,
    "not-found": 6,
    conflict: 1,
    busy: 4,
    full: 4,
    integrity: 5,
    damaged: 5,
    unreachable: 4,
    timeout: 4,
    cancelled: 1,
    internal: 1,
  });
});

test("an answer of a peer counts like an error of ours, anything else is an unexpected failure", () => {
  expect(exitCodeOf(new RemoteError("peer", "not-found"))).toBe(6);
  expect(exitCodeOf(new Error("bug"))).toBe(1);
  expect(exitCodeOf("text")).toBe(1);
});
