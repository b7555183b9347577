import { expect, test } from "vitest";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createLog, type LogLevel } from "../../../runtime/log.ts";

function capture(level: LogLevel = "debug") {
  const lines: string[] = [];
  const log = createLog({ level, destination: { write: (line: string) => void lines.push(line) } });
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test("one JSON object per line with time, level, event and fields", () => {
  const { log, lines, parsed } = capture();
  log.info("started", { port: 1 });
  log.child({ peer: "p" }).warn("slow", { ms: 2 });
  expect(parsed()).toEqual([
    { level: "info", time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), event: "started", port: 1 },
    { level: "warn", time: expect.any(String), event: "slow", peer: "p", ms: 2 },
  ]);
  expect(lines.every((line) => line.endsWith("\n") && !line.slice(0, -1).includes("\n"))).toBe(true);
});

test.each([
  ["debug", 4],
  ["info", 3],
  ["warn", 2],
  ["error", 1],
] as const)("level %s lets %i lines through", (level, count) => {
  const { log, lines } = capture(level);
  for (const name of ["debug", "info", "warn", "error"] as const) log[name]("event");
  expect(lines.length).toBe(count);
});

test("secrets and bytes do not get into a line, also by a child and one level down", () => {
  const { log, lines } = capture();
  const bytes = new Uint8Array([222, 173, 190, 239]);
  log.info("event", { seed: "hunter2", nested: { passphrase: "hunter2" }, token: bytes });
  log.child({ password: "hunter2", key: Buffer.from(bytes) }).info("event");
  const all = lines.join("");
  expect(all).not.toContain("hunter2");
  // not alone, because the time in the line may have it as well
  expect(all).not.toMatch(/222\D+173/);
  expect(all).toContain("[removed]");
  expect(all).toContain("[4 bytes]");
});

test("our errors are told by code, others with their stack", () => {
  const { log, parsed } = capture();
  log.error("failed", { error: new IntercloudError("DISK_FULL", "full", "no room", { directory: "/x" }) });
  log.error("failed", { error: new RangeError("bug") });
  const [ours, other] = parsed();
  expect(ours?.["error"]).toEqual({ code: "DISK_FULL", status: "full", message: "no room" });
  expect(other?.["error"]).toMatchObject({
    name: "RangeError",
    message: "bug",
    stack: expect.stringContaining("log.test"),
  });
});
