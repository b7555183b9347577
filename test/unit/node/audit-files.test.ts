/** Exports, receipts and disclosures: what goes out comes back, and what somebody made of it meanwhile is found or refused. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { disclosureText, exportLines, headFileOf, readDisclosure, readReceipt } from "../../../node/audit/files.ts";
import { type AuditReport, reportLog } from "../../../node/audit/report.ts";
import { reportText } from "../../../node/audit/report-text.ts";
import { adminUrlOf, fileLog, type LogSource, streamLog } from "../../../node/audit/source.ts";
import { inOrder, makeLog } from "../audit/log.ts";

const LENGTH = 8;
const log = makeLog(LENGTH);
const notAFile = expect.objectContaining({ code: "NOT_AN_AUDIT_FILE", status: "bad-request" });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "intercloud-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

async function exported(entries: readonly Uint8Array[] = log.entries, count = LENGTH): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of exportLines(log.headAt(count), inOrder(entries))) lines.push(line.toString());
  return lines;
}

async function reportOf(content: string | Uint8Array, options: Partial<Parameters<typeof reportLog>[0]> = {}) {
  const source = await fileLog(await fileOf("export.jsonl", content));
  try {
    return await reportLog({ source, receipts: [], ...options });
  } finally {
    await source.close();
  }
}

describe("an export", () => {
  test("is read back as it was, from a file, from a pipe, and cut into any pieces", async () => {
    const text = (await exported()).join("");
    expect(await reportOf(text)).toMatchObject({ valid: true, count: LENGTH, goodEntries: LENGTH, peer: log.peer });
    expect(await reportOf(text.trimEnd())).toMatchObject({ valid: true });
    for (const size of [1, 7, 1000, text.length]) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
      const source = await streamLog(Readable.from(pieces.map((piece) => Buffer.from(piece))), "a pipe");
      expect(await reportLog({ source, receipts: [] })).toMatchObject({ valid: true, goodEntries: LENGTH });
      await source.close();
    }
  });

  test("ends where its head was signed: what was logged meanwhile comes with the next one", async () => {
    const lines = await exported(log.entries, 5);
    expect(lines).toHaveLength(1 + 5);
    expect(await reportOf(lines.join(""))).toMatchObject({ valid: true, count: 5 });
  });

  test("from which a line was removed, or in which lines changed places, names the first", async () => {
    const lines = await exported();
    for (let at = 1; at <= LENGTH; at += 1) {
      const text = lines.filter((_, index) => index !== at).join("");
      expect(await reportOf(text)).toMatchObject({ valid: false, firstBroken: { sequence: at, problem: "missing" } });
    }
    const swapped = [...lines];
    [swapped[3], swapped[6]] = [swapped[6]!, swapped[3]!];
    const report = await reportOf(swapped.join(""));
    expect(report).toMatchObject({ valid: false, firstBroken: { sequence: 3, problem: "reordered" }, goodEntries: 2 });
  });

  test("in which any character of an entry is another one is found", async () => {
    const lines = await exported();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: LENGTH }), fc.nat(), fc.nat(255), async (at, position, value) => {
        const line = Buffer.from(lines[at]!);
        const where = position % (line.length - 1);
        fc.pre(line[where] !== value);
        line[where] = value;
        const text = Buffer.concat(lines.map((each, index) => (index === at ? line : Buffer.from(each))));
        const report = await reportOf(text);
        // White space around a string is none of its characters.
        const same = (value === 10 || value === 13 || value === 9 || value === 32) && report.valid;
        expect(same || report.firstBroken?.sequence === at, JSON.stringify(report.firstBroken)).toBe(true);
      }),
    );
  });

  test("that ends in the middle of a line, or runs on without line ends, is found", async () => {
    const lines = await exported();
    const cut = lines.join("").slice(0, -20);
    expect(await reportOf(cut)).toMatchObject({ valid: false, firstBroken: { sequence: LENGTH, problem: "altered" } });
    const endless = `${lines.slice(0, 4).join("")}${"x".repeat(1_000_000)}`;
    expect(await reportOf(endless)).toMatchObject({ valid: false, firstBroken: { sequence: 4, problem: "altered" } });
  });

  test("with more entries than its head signs for, or with another head, is found", async () => {
    const lines = await exported();
    const [, ...entries] = lines;
    const [older] = await exported(log.entries, 5);
    expect(await reportOf([older, ...entries].join(""))).toMatchObject({
      ...{ valid: false, firstBroken: { sequence: 6, problem: "unsigned" } },
    });
    const stranger = makeLog(LENGTH);
    const foreign = JSON.stringify(headFileOf(stranger.headAt(LENGTH), "intercloud-audit-export"));
    expect(await reportOf([`${foreign}\n`, ...entries].join(""))).toMatchObject({
      ...{ valid: false, firstBroken: { sequence: 1, problem: "altered" } },
    });
    const garbled = lines[0]!.replace(/"head":"[^"]{8}/, '"head":"AAAAAAAA');
    expect(await reportOf([garbled, ...entries].join(""))).toMatchObject({
      ...{ valid: false, problems: ["the signed head is missing or cannot be read"] },
    });
  });

  test.each<[string, string | Uint8Array]>([
    ["an empty file", ""],
    ["text", "hello\n"],
    ["JSON of another kind", '{"format":"other","version":1,"head":"AAAA"}\n'],
    ["a later version", '{"format":"intercloud-audit-export","version":2,"head":"AAAA"}\n'],
    ["a head that is not base64", '{"format":"intercloud-audit-export","version":1,"head":"?"}\n'],
    ["null", "null\n"],
    ["bytes", new Uint8Array(randomBytes(100_000))],
  ])("%s is no export", async (_, content) => {
    const file = await fileOf("none", content);
    await expect(fileLog(file)).rejects.toEqual(notAFile);
  });

  test("a file that is not there is no log, and a directory no export", async () => {
    await expect(fileLog(path.join(folder, "nowhere"))).rejects.toMatchObject({ code: "NO_AUDIT_LOG" });
    await expect(fileLog(folder)).rejects.toEqual(notAFile);
  });
});

test("the address of an admin server, also in IPv6; none when the port is any", () => {
  expect(adminUrlOf({ adminHost: "127.0.0.1", adminPort: 8080 })).toBe("http://127.0.0.1:8080");
  expect(adminUrlOf({ adminHost: "::1", adminPort: 8080 })).toBe("http://[::1]:8080");
  expect(adminUrlOf({ adminHost: "localhost", adminPort: 0 })).toBeUndefined();
});

describe("receipts", () => {
  test("are heads, and exports of an earlier day, however long", async () => {
    const head = await fileOf("head.json", JSON.stringify(headFileOf(log.headAt(3)), null, 2));
    expect(await readReceipt(head)).toEqual(new Uint8Array(log.headAt(3)));
    const long = await fileOf("long.jsonl", `${(await exported()).join("")}${'"AAAA"\n'.repeat(50_000)}`);
    expect(await readReceipt(long)).toEqual(new Uint8Array(log.headAt(LENGTH)));
  });

  test("what a receipt says besides its signed bytes does not count", async () => {
    const lying = { ...headFileOf(log.headAt(3)), count: LENGTH, hash: "00" };
    const file = await fileOf("lying.json", JSON.stringify(lying));
    const report = await reportOf((await exported()).join(""), {
      receipts: [{ file, signedHead: await readReceipt(file) }],
    });
    expect(report).toMatchObject({ valid: true, receipts: [{ count: 3, valid: true }] });
  });

  test("a log without head and entries is none, but not for who holds a receipt of it", async () => {
    const empty: LogSource = {
      name: "nowhere",
      signedHead: async () => undefined,
      entries: () => inOrder([]),
      async close() {},
    };
    await expect(reportLog({ source: empty, receipts: [] })).rejects.toMatchObject({ code: "NO_AUDIT_LOG" });
    const report = await reportLog({ source: empty, receipts: [{ file: "r", signedHead: log.headAt(3) }] });
    expect(report.valid).toBe(false);
    const headless = { ...empty, entries: () => inOrder(log.entries) };
    expect((await reportLog({ source: headless, receipts: [] })).valid).toBe(false);
  });

  const headless = JSON.stringify({ ...headFileOf(log.headAt(3)), head: "AAAA" });
  test.each(["", "hello", "[]", '{"head":1}', headless])("%j is no receipt and no disclosure", async (content) => {
    const file = await fileOf("none.json", content);
    await expect(readReceipt(file)).rejects.toEqual(notAFile);
    await expect(readDisclosure(file)).rejects.toEqual(notAFile);
  });

  test("a file that is not there, or a directory, is none", async () => {
    for (const file of [path.join(folder, "nowhere"), folder]) {
      await expect(readReceipt(file)).rejects.toEqual(notAFile);
      await expect(readDisclosure(file)).rejects.toEqual(notAFile);
    }
  });
});

describe("a disclosure", () => {
  const text = disclosureText(log.logKey, log.entries[4]!);
  const reportWith = async (content: string): Promise<AuditReport> => {
    const disclosure = await readDisclosure(await fileOf("disclosure.json", content));
    return await reportOf((await exported()).join(""), { disclosure });
  };

  test("shows its event, and nothing of the others", async () => {
    const report = await reportWith(text);
    expect(report).toMatchObject({ valid: true, disclosed: { sequence: 5, kind: "linked" } });
    expect(reportText(report)).toMatch(/disclosed +5 {2}\S+ {2}linked +tokenId=[0-9a-f]{64}\n/);
  });

  test("of another entry, another log or with another key is not believed", async () => {
    const { eventKey, ...rest } = JSON.parse(text) as Record<string, string>;
    const otherKey = JSON.parse(disclosureText(log.logKey, log.entries[5]!)) as Record<string, string>;
    const wrong = [
      { ...rest, eventKey: otherKey["eventKey"] },
      { ...rest, eventKey: "" },
      { ...otherKey, eventKey },
      JSON.parse(disclosureText(log.logKey, makeLog(LENGTH).entries[4]!)),
    ];
    for (const one of wrong) {
      const report = await reportWith(JSON.stringify(one));
      expect(report).toMatchObject({ valid: false, disclosed: null, problems: [expect.stringContaining("disclosed")] });
    }
  });
});
