import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { progressLine, progressText } from "../../../client/commands/progress.ts";
import { bytesText, printable, tableText } from "../../../client/commands/text.ts";

test.each([
  [0, "0 B"],
  [1, "1 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [1536, "1.5 KiB"],
  [1024 * 1024 - 1, "1 MiB"],
  [107 * 1024 * 1024, "107 MiB"],
  [2 ** 43, "8 TiB"],
  [2 ** 53, "8192 TiB"],
])("%d bytes are %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test("columns are as wide as their widest cell, and no line ends in blanks", () => {
  expect(
    tableText([
      ["NAME", "B"],
      ["a", "bb"],
      ["long name", ""],
    ]),
  ).toBe("NAME       B\na          bb\nlong name\n");
  expect(tableText([])).toBe("");
});

test("a terminal does not obey a file name", () => {
  expect(printable("\u001b[2Jé名\u202Ex\n")).toBe("?[2Jé名?x?");
});

test("progress says how far, how much and how fast", () => {
  expect(progressText({ phase: "sending", doneBytes: 1024 ** 2, totalBytes: 4 * 1024 ** 2 }, 1_000)).toBe(
    "sending  25%  1 MiB of 4 MiB  1 MiB/s",
  );
  expect(progressText({ phase: "reading", doneBytes: 10, totalBytes: undefined }, 10)).toBe("reading  10 B");
  expect(progressText({ phase: "sealing", doneBytes: 0, totalBytes: 0 }, 10)).toBe("sealing 100%  0 B of 0 B");
});

function drawn(stderrIsTerminal: boolean, json: boolean, everyMs: number): string {
  let written = "";
  const write = (chunk: unknown, _: string, done: () => void) => {
    written += String(chunk);
    done();
  };
  const stderr = Object.assign(new Writable({ write }), { isTTY: stderrIsTerminal });
  let nowMs = 0;
  const line = progressLine({ stderr, json }, () => nowMs);
  for (let done = 0; done < 10; done += 1) {
    for (const phase of ["dealing", "sending"]) line.update({ phase, doneBytes: done, totalBytes: 10 });
    nowMs += everyMs;
  }
  line.clear();
  return written;
}

test("a line is drawn on a terminal when the work is long, and taken off at the end", () => {
  const line = drawn(true, false, 200);
  expect(line).toContain("dealing  90%");
  expect(line.split("\r").length - 1).toBe(8); // one for each moment after half a second, and one to take it off
  expect(line.endsWith("\r\u001b[K")).toBe(true);
  expect(drawn(true, false, 10)).toBe("");
  expect(drawn(true, true, 200)).toBe("");
  expect(drawn(false, false, 200)).toBe("");
});
