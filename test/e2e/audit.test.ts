/** The audit logs of a testnet's providers, as their operators and an auditor see them. */
import { cp, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { Level } from "level";
import { expect, test } from "vitest";
import { nodeKeys } from "../../node/keys.ts";
import { entryHash, readSignedHead, signHead } from "../../protocols/audit/index.ts";
import { readKeyFile } from "../../runtime/key-file.ts";
import { bytesOf } from "../support/bytes.ts";
import { intercloud, intercloudJson } from "./intercloud.ts";
import { testnetUser } from "./user.ts";

const user = await testnetUser(3, 2);
const directory = (number: number) => path.join(user.net, `provider-${number}`);
const audit = (...args: string[]) => intercloud(["audit", ...args]);
const verify = (number: number, ...flags: string[]) => audit("verify", "--dir", directory(number), ...flags);
const verified = (number: number, ...flags: string[]) =>
  intercloudJson(["audit", "verify", "--dir", directory(number), ...flags]);

async function events(number: number): Promise<{ kind: string; [field: string]: unknown }[]> {
  const { exitCode, stdout, stderr } = await audit("show", "--dir", directory(number), "--json");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

type Rows = Level<string, Uint8Array>;
const rowOf = (sequence: number) => `~log:${String(sequence).padStart(16, "0")}`;
const HEAD_ROW = "~log-head";

/** Works on the log of a stopped provider by hand. */
async function tamper(number: number, change: (rows: Rows) => Promise<void>): Promise<void> {
  const rows: Rows = new Level(path.join(directory(number), "store/records"), {
    ...{ valueEncoding: "view", compression: false },
  });
  await rows.open();
  try {
    await change(rows);
  } finally {
    await rows.close();
  }
}

test("every step of a deposit, and who got it, is in the log of every provider that had a part in it", async () => {
  const message = bytesOf(200_000, 1);
  const token = await user.put(message);
  await user.expectBack(token, message);
  const { tokenId } = await intercloudJson(["show", token], { home: user.home });
  const { stdout } = await user.run(["id", "show"]);
  let served = 0;
  for (const number of [1, 2, 3]) {
    expect(await verified(number)).toMatchObject({
      valid: true,
      node: `provider-${number}`,
      federation: { valid: true },
    });
    const shown = await events(number);
    const kinds = shown.filter((event) => event["tokenId"] === tokenId).map(({ kind }) => kind);
    expect(kinds.slice(0, 4)).toEqual(["bound", "linked", number === 1 ? "kept" : "copied", "sealed"]);
    for (const event of shown.filter(({ kind }) => kind === "served")) {
      expect(event).toMatchObject({ identity: stdout.trim(), purpose: "retrieve", tokenId });
      served += 1;
    }
  }
  expect(served).toBeGreaterThanOrEqual(2);
});

test("a provider that is killed at work has a whole log afterwards, and it shows that it was killed", async () => {
  const working = Array.from({ length: 4 }, (_, index) =>
    user.run(["put", "--whole", "-"], { stdin: bytesOf(500_000, index) }),
  );
  await Promise.race(working);
  await user.testnet("kill", "provider-2");
  await Promise.all(working);
  expect(await verified(2)).toMatchObject({ valid: true });
  await user.testnet("start", "provider-2");
  expect(await verified(2)).toMatchObject({ valid: true });
  const starts = (await events(2)).map(({ kind }) => kind).filter((kind) => kind === "started" || kind === "stopped");
  expect(starts).toEqual(["started", "started"]);
});

test("an export is checked by somebody who has the federation file and nothing else", async () => {
  const file = path.join(user.directory, "export.jsonl");
  await intercloudJson(["audit", "export", "--dir", directory(1), "-o", file]);
  const federation = path.join(user.home, "federation.json");
  const good = await audit("verify", file, "--federation", federation);
  expect(good).toMatchObject({ exitCode: 0, stderr: "" });
  expect(good.stdout).toMatch(/^log of +provider-1 \(12D3Koo\w+\)\n/);
  expect(good.stdout).toMatch(/\nverdict +valid\n$/);

  const lines = (await readFile(file, "utf8")).split("\n");
  const without = lines.filter((_, index) => index !== 3).join("\n");
  const found = await intercloud(["audit", "verify", "-", "--json"], { stdin: without });
  expect(found.exitCode).toBe(5);
  expect(JSON.parse(found.stdout)).toMatchObject({ goodEntries: 2, firstBroken: { sequence: 3, problem: "missing" } });

  const disclosure = await user.file("disclosure.json", (await audit("disclose", "2", "--dir", directory(1))).bytes);
  const shown = await audit("verify", file, "--disclosure", disclosure);
  expect(shown.stdout).toMatch(/\ndisclosed +2 {2}\S+ {2}dealt +dealId=/);
});

test("a log goes on from the receipt that somebody was given", async () => {
  const receipt = await user.file("receipt.json", (await audit("head", "--dir", directory(1))).bytes);
  const message = bytesOf(1_000, 7);
  await user.expectBack(await user.put(message), message);
  const { receipts, count } = await verified(1, "--receipt", receipt);
  expect(receipts).toMatchObject([{ file: receipt, valid: true }]);
  expect(count).toBeGreaterThan(receipts[0].count);
});

test("no admin server answers, no node, no log: each is said", async () => {
  expect(await verify(9)).toMatchObject({ exitCode: 6, stdout: "" });
  expect(await audit("verify", "--url", "http://127.0.0.1:1")).toMatchObject({ exitCode: 4, stdout: "" });
  expect(await audit("verify", path.join(user.home, "federation.json"))).toMatchObject({ exitCode: 2, stdout: "" });
  await user.testnet("pause", "provider-3");
  try {
    expect(await verify(3)).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("[ADMIN_UNREACHABLE]") });
  } finally {
    await user.testnet("resume", "provider-3");
  }
}, 60_000);

test("what somebody does to the log of a stopped provider is found, and the provider does not start on it", async () => {
  await user.testnet("kill", "provider-3");
  const store = path.join(directory(3), "store");
  const kept = path.join(user.directory, "store-3");
  await cp(store, kept, { recursive: true });
  const receipt = await user.file("receipt-3.json", (await audit("head", "--dir", directory(3))).bytes);
  const { count } = await verified(3);
  expect(count).toBeGreaterThan(6);
  const { signer } = nodeKeys(await readKeyFile(path.join(directory(3), "key.json"), undefined));
  const get = async (rows: Rows, key: string) => new Uint8Array(await rows.get(key));

  const cases: [string, (rows: Rows) => Promise<void>, { sequence: number; problem: string }][] = [
    ["removed", (rows) => rows.del(rowOf(4)), { sequence: 4, problem: "missing" }],
    ["the first is removed", (rows) => rows.del(rowOf(1)), { sequence: 1, problem: "missing" }],
    ["the last is removed", (rows) => rows.del(rowOf(count)), { sequence: count, problem: "missing" }],
    [
      "altered",
      async (rows) => {
        const entry = await get(rows, rowOf(5));
        entry[100] = entry[100]! ^ 1;
        await rows.put(rowOf(5), entry);
      },
      { sequence: 5, problem: "altered" },
    ],
    [
      "reordered",
      async (rows) => {
        const [a, b] = [await get(rows, rowOf(2)), await get(rows, rowOf(6))];
        await rows.put(rowOf(2), b);
        await rows.put(rowOf(6), a);
      },
      { sequence: 2, problem: "reordered" },
    ],
    [
      "repeated",
      async (rows) => rows.put(rowOf(count + 1), await get(rows, rowOf(2))),
      { sequence: count + 1, problem: "unsigned" },
    ],
  ];
  for (const [name, change, broken] of cases) {
    await tamper(3, change);
    const { exitCode, stdout, stderr } = await verify(3, "--json");
    expect({ name, exitCode }).toEqual({ name, exitCode: 5 });
    expect(JSON.parse(stdout), name).toMatchObject({
      ...{ valid: false, goodEntries: broken.sequence - 1, firstBroken: broken },
    });
    expect(JSON.parse(stderr).error.code).toBe("AUDIT_BROKEN");
    const started = await intercloud(["node", "run", "--dir", directory(3)]);
    expect({ name, exitCode: started.exitCode }).toEqual({ name, exitCode: 5 });
    expect(started.stderr, name).toMatch(/its audit log does not check: .*\[STORE_DAMAGED\]\n$/);
    await rm(store, { recursive: true });
    await cp(kept, store, { recursive: true });
  }

  // The node's own operator cuts the log and signs what is left: the log is whole, and the receipt tells.
  await tamper(3, async (rows) => {
    const { head } = readSignedHead(await get(rows, HEAD_ROW));
    const last = await get(rows, rowOf(count - 2));
    await rows.batch([
      { type: "del", key: rowOf(count) },
      { type: "del", key: rowOf(count - 1) },
      { type: "put", key: HEAD_ROW, value: signHead({ ...head, count: count - 2, hash: entryHash(last) }, signer) },
    ]);
  });
  expect(await verified(3)).toMatchObject({ valid: true, count: count - 2 });
  const cut = await verify(3, "--receipt", receipt);
  expect(cut).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("fewer entries than the receipt says") });

  await rm(store, { recursive: true });
  await cp(kept, store, { recursive: true });
  await user.testnet("start", "provider-3");
  expect(await verified(3, "--receipt", receipt)).toMatchObject({ valid: true });
});
