import { expect, test } from "vitest";
import { expiryFrom, expiryText, isoOrNull } from "../../../client/commands/expiry.ts";

const NOW_MS = Date.UTC(2030, 0, 31, 12);

test.each([
  ["90s", NOW_MS + 90_000],
  ["30m", NOW_MS + 30 * 60_000],
  ["12h", NOW_MS + 12 * 3_600_000],
  ["7d", Date.UTC(2030, 1, 7, 12)],
  ["4w", Date.UTC(2030, 1, 28, 12)],
  ["0s", NOW_MS],
  ["2030-02-01", Date.UTC(2030, 1, 1)],
  ["2030-02-01T10:00Z", Date.UTC(2030, 1, 1, 10)],
  ["2030-02-01T10:00:30+02:00", Date.UTC(2030, 1, 1, 8, 0, 30)],
  ["2030-02-01T10:00:30.25Z", Date.UTC(2030, 1, 1, 10, 0, 30, 250)],
  ["2020-01-01", Date.UTC(2020, 0, 1)],
])("%s is understood", (text, expected) => {
  expect(expiryFrom(text, NOW_MS)).toBe(expected);
});

test.each([
  ...["", "soon", "12", "h", "-1h", "1.5h", "12 h", "1h30m", "12H", "1y", "9999999999s", "999999999w"],
  ...["2030-02-30", "2030-13-01", "2030-02-01T25:00Z", "2030-02-01T10:00", "2030-02-01 10:00Z", "01.02.2030", "1e3s"],
])("%s is wrong use, and not guessed", (text) => {
  expect(() => expiryFrom(text, NOW_MS)).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("is written with its zone", () => {
  expect(expiryText(NOW_MS)).toBe("until 2030-01-31T12:00:00.000Z");
  expect(expiryText(null)).toBe("until it is revoked");
  expect([isoOrNull(NOW_MS), isoOrNull(null)]).toEqual(["2030-01-31T12:00:00.000Z", null]);
});
