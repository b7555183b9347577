/** What bad input, broken disks and dead peers get: the right exit code, a word on what to do, and nothing left behind. */
import type { ChildProcess } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, readlink, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { memberNamed } from "../../protocols/identity/federation.ts";
import { formatTokenText, parseTokenText } from "../../protocols/tokens/token-text.ts";
import { readFederation } from "../../runtime/federation.ts";
import { bytesOf } from "../support/bytes.ts";
import { intercloud, intercloudJson, type Outcome } from "./intercloud.ts";
import { configure, flipBit, testnetUser } from "./user.ts";

const MIB = 1024 * 1024;
/** Salt and the digests of two blocks come before a message of two blocks. */
const HEADER_BYTES = 32 + 2 * 32;
const SETTLE_MS = 30_000;
const user = await testnetUser(5, 3);
const { directory, net, home } = user;
const message = bytesOf(1_000, 1);
const kept = await user.put(message);

/** Exit code and code of the error, nothing on stdout, and no stack for the user to read. */
function expectFailure(outcome: Outcome, exitCode: number, ...words: readonly (string | RegExp)[]): void {
  expect({ ...outcome, bytes: undefined }).toMatchObject({ exitCode, stdout: "" });
  for (const word of words) expect(outcome.stderr).toMatch(word);
  expect(outcome.stderr).not.toMatch(/\n +at /);
}

async function expectNothingNew(work: () => Promise<void>, providers = [1, 2, 3, 4, 5]): Promise<void> {
  const look = async () => {
    const { deposits } = await intercloudJson(["list"], { home });
    const bodies = await Promise.all(providers.map((number) => user.bodies(number)));
    const spooled = await readdir(path.join(home, "tmp")).catch(() => []);
    return { deposits: deposits.length, bodies: bodies.map((names) => names.length), spooled };
  };
  const before = await look();
  await work();
  await expect.poll(look, { timeout: SETTLE_MS, interval: 500 }).toEqual(before);
}

/** Spool files that a process has open. */
async function namelessFiles(pid: number | undefined): Promise<readonly string[]> {
  const folder = `/proc/${pid}/fd`;
  const open = await readdir(folder).catch(() => []);
  const targets = await Promise.all(open.map((fd) => readlink(path.join(folder, fd)).catch(() => "")));
  return targets.filter((target) => target.endsWith(".spool (deleted)"));
}

async function largestFile(folder: string): Promise<{ readonly file: string; readonly lengthBytes: number }> {
  const files = (await readdir(folder)).map((name) => path.join(folder, name));
  const sized = await Promise.all(files.map(async (file) => ({ file, lengthBytes: (await stat(file)).size })));
  return sized.reduce((largest, each) => (each.lengthBytes > largest.lengthBytes ? each : largest));
}

test("a wrong token is wrong use", async () => {
  const wrong = kept.slice(0, -1) + (kept.at(-1) === "q" ? "p" : "q");
  for (const token of ["hello", wrong, kept.slice(0, -1)]) {
    expectFailure(await user.run(["get", token]), 2, "copied whole");
  }
});

test("a token that nobody knows is not found", async () => {
  const { home: atHome } = parseTokenText(kept);
  const token = formatTokenText({ tokenId: bytesOf(32, 7), home: atHome });
  expectFailure(await user.run(["get", token]), 6, "NO_SUCH_DEPOSIT");
  // home of the token is somebody who does not exist: the others are asked
  const { dealers } = await readFederation(path.join(home, "federation.json"));
  const astray = formatTokenText({ tokenId: bytesOf(32, 7), home: dealers[0]?.peer ?? "" });
  expectFailure(await user.run(["trace", astray]), 6, "NO_SUCH_DEPOSIT");
});

test("the token of somebody else's deposit is refused, by every command", async () => {
  const stranger = path.join(directory, "stranger");
  expect((await user.run(["id", "new"], { home: stranger })).exitCode).toBe(0);
  expectFailure(await user.run(["get", kept], { home: stranger }), 2, "federation.json");
  await copyFile(path.join(home, "federation.json"), path.join(stranger, "federation.json"));
  for (const command of ["get", "show", "trace", "verify"]) {
    expectFailure(await user.run([command, kept], { home: stranger }), 3, "NOT_THE_OWNER");
  }
  expect((await intercloudJson(["list"], { home: stranger })).deposits).toEqual([]);
});

test("a bit flipped in every copy of the ciphertext is an integrity failure, and nothing is handed over", async () => {
  const token = await user.put(message, "--route", "chain");
  for (const number of [1, 2, 3]) await flipBit(await user.ciphertextFile(number, token), 500);
  expectFailure(await user.run(["get", token]), 5, "WRONG_BYTES", "lied or lost what they should keep");
  const file = path.join(directory, "never");
  expectFailure(await user.run(["get", token, "-o", file]), 5);
  expect(await readdir(directory)).not.toContain("never");
  for (const number of [1, 2, 3]) await flipBit(await user.ciphertextFile(number, token), 500);
  await user.expectBack(token, message);
});

test("copies that are damaged in different places make up for each other, with a warning", async () => {
  const long = bytesOf(2 * MIB, 2);
  const token = await user.put(long, "--copies", "2");
  // Whichever copy is asked first, one of its blocks is wrong.
  await flipBit(await user.ciphertextFile(1, token), HEADER_BYTES + 1_000);
  await flipBit(await user.ciphertextFile(2, token), HEADER_BYTES + MIB + 1_000);
  const { stderr } = await user.expectBack(token, long);
  const found = /^intercloud: warning: (provider-\d) lost .*evidence is in (\S+),.*\[LIAR_NAMED\]/m.exec(stderr);
  const [, name, file] = found ?? [];
  expect(await intercloudJson(["verify-evidence", file ?? ""], { home })).toMatchObject({
    accused: name,
    kind: "lost",
  });
  // On another machine the federation file is enough.
  const federation = path.join(home, "federation.json");
  const elsewhere = await user.run(["verify-evidence", file ?? "", "--federation", federation], { home: directory });
  expect(elsewhere).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`${name} says itself`) });
  const bytes = await readFile(file ?? "");
  bytes[bytes.length - 40]! ^= 1;
  const forged = await user.file("forged.evidence", bytes);
  expectFailure(await user.run(["verify-evidence", forged]), 5, "EVIDENCE_BROKEN");
  expectFailure(await user.run(["verify-evidence", path.join(directory, "no-such-file")]), 2, "NOT_EVIDENCE");
});

test("a copy that is cut short, or gone, is made up for by another", async () => {
  const token = await user.put(message, "--copies", "2", "--route", "chain");
  await truncate(await user.ciphertextFile(1, token), 10);
  await user.expectBack(token, message);
  await truncate(await user.ciphertextFile(2, token), 10);
  expectFailure(await user.run(["get", token]), 4);
});

test("a provider that dies while the message travels is replaced", async () => {
  const long = bytesOf(24 * MIB, 3);
  const token = await user.put(long, "--route", "fanout");
  const got = await user.run(["get", token], {
    onStart: (child) => child.stdout?.once("data", () => void user.testnet("kill", "provider-2", "provider-3")),
  });
  expect(got.exitCode).toBe(0);
  expect(Buffer.compare(got.bytes, long)).toBe(0);
  await user.testnet("start", "provider-2", "provider-3");
});

test("with the dealer dead nothing can be deposited, and what is there can be read", async () => {
  await expectNothingNew(async () => {
    await user.testnet("kill", "dealer-1");
    expectFailure(await user.run(["put", "--whole", "-"], { stdin: message }), 4, "dealer-1");
    await user.expectBack(kept, message);
    await user.testnet("start", "dealer-1");
  });
});

test.each(["dealer-1", "provider-3"])("a deposit during which %s dies leaves nothing", async (name) => {
  const file = await user.file("long", new Uint8Array(128 * MIB));
  await expectNothingNew(async () => {
    const before = await user.bodies(3);
    const putting = user.run(["put", "--whole", file]);
    const begun = async () => (await user.bodies(3)).some((body) => !before.includes(body));
    await expect.poll(begun, { timeout: SETTLE_MS, interval: 10 }).toBe(true);
    await user.testnet("kill", name);
    expectFailure(await putting, 4);
    await user.testnet("start", name);
  });
});

test("Ctrl-C in the middle of a deposit leaves nothing, anywhere", async () => {
  const file = await user.file("long", new Uint8Array(128 * MIB));
  await expectNothingNew(async () => {
    const before = await user.bodies(1);
    let interrupt = () => {};
    const putting = user.run(["put", "--whole", file], {
      onStart: (child) => (interrupt = () => void child.kill("SIGINT")),
    });
    const begun = async () => (await user.bodies(1)).some((body) => !before.includes(body));
    await expect.poll(begun, { timeout: SETTLE_MS, interval: 10 }).toBe(true);
    interrupt();
    expectFailure(await putting, 130, "SIGINT");
  });
});

test("Ctrl-C while a pipe is silent ends at once, and in the middle of a get leaves no file", async () => {
  const pipe = new PassThrough();
  pipe.write("the beginning");
  let child: ChildProcess | undefined;
  const putting = user.run(["put", "--whole", "-"], { stdin: pipe, onStart: (started) => (child = started) });
  await expect.poll(() => namelessFiles(child?.pid), { timeout: SETTLE_MS }).toHaveLength(1);
  child?.kill("SIGINT");
  expectFailure(await putting, 130);
  const token = await user.put(bytesOf(24 * MIB, 3));
  const folder = path.join(directory, "interrupted");
  await mkdir(folder);
  let interrupt = () => {};
  const getting = user.run(["get", token, "-o", path.join(folder, "file")], {
    onStart: (child) => (interrupt = () => void child.kill("SIGINT")),
  });
  await expect.poll(() => readdir(folder), { timeout: SETTLE_MS, interval: 5 }).toHaveLength(1);
  interrupt();
  expectFailure(await getting, 130);
  expect(await readdir(folder)).toEqual([]);
});

test("a provider where the owner is over its quota ends the deposit, and no other keeps anything", async () => {
  const peer = path.join(net, "provider-4");
  await user.testnet("kill", "provider-4");
  const configured = await configure(peer, { maxOwnerBytes: 100 });
  await user.testnet("start", "provider-4");
  // The one that refuses may keep its share of the deal, which nobody can use any more, until the deal expires.
  await expectNothingNew(
    async () =>
      expectFailure(await user.run(["put", "--whole", "-", "--copies", "5"], { stdin: message }), 4, "provider-4"),
    [1, 2, 3, 5],
  );
  await user.expectBack(kept, message);
  await user.testnet("kill", "provider-4");
  await configured.undo();
});

test("a provider whose disk is full takes no deposits and still serves those that it has", async () => {
  const peer = path.join(net, "provider-4");
  const configured = await configure(peer, { minFreeBytes: 2 ** 52 });
  let stop = () => {};
  const running = user.run(["node", "run", "--dir", peer], { onStart: (child) => (stop = () => void child.kill()) });
  const { peers } = await intercloudJson(["testnet", "status", "--dir", net]);
  const { adminUrl } = peers.find(({ name }: { name: string }) => name === "provider-4");
  const causes = async () => await (await fetch(`${adminUrl}/readyz`).catch(() => undefined))?.text();
  await expect.poll(causes, { timeout: SETTLE_MS }).toContain("DISK_LOW");

  await expectNothingNew(async () =>
    expectFailure(await user.run(["put", "--whole", "-"], { stdin: message }), 4, "provider-4"),
  );
  await user.testnet("kill", "provider-1", "provider-2");
  await user.expectBack(kept, message);
  await user.testnet("start", "provider-1", "provider-2");

  stop();
  expect((await running).exitCode).toBe(0);
  await configured.undo();
  await user.testnet("start", "provider-4");
});

test("a misspelt setting stops a node and a client, and names the setting", async () => {
  const peer = path.join(net, "provider-5");
  await user.testnet("kill", "provider-5");
  const nodeConfigured = await configure(peer, { lisen: [] });
  const homeConfigured = await configure(home, { treshold: 3 });
  expectFailure(await user.run(["node", "run", "--dir", peer]), 2, "lisen", "listen");
  expectFailure(await user.run(["get", kept]), 2, "treshold", "threshold");
  await nodeConfigured.undo();
  await homeConfigured.undo();
  await user.testnet("start", "provider-5");
  await user.expectBack(kept, message);
});

test("a node does not start with a damaged store, and the others go on", async () => {
  const peer = path.join(net, "provider-5");
  await user.testnet("kill", "provider-5");
  const { file, lengthBytes } = await largestFile(path.join(peer, "store/records"));
  await flipBit(file, lengthBytes >> 1);
  expectFailure(await user.run(["node", "run", "--dir", peer]), 5, "STORE_DAMAGED");
  const start = await intercloud(["testnet", "start", "provider-5", "--dir", net]);
  expectFailure(start, 1, "STORE_DAMAGED");
  await user.expectBack(kept, message);
});

test("a federation file that was changed is not used", async () => {
  const file = path.join(home, "federation.json");
  const before = await readFile(file, "utf8");
  const stranger = memberNamed(await readFederation(file), "provider-2")?.peer ?? "";
  await writeFile(file, before.replaceAll(stranger, parseTokenText(kept).home));
  expectFailure(await user.run(["get", kept]), 2);
  await writeFile(file, before.replace('"name": "testnet"', '"name": "other"'));
  expectFailure(await user.run(["get", kept]), 5, "founder");
  await writeFile(file, before);
});
