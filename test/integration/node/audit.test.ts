/** The audit logs of real nodes, running and stopped, through the commands and the admin server. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Level } from "level";
import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMAND_TABLE } from "../../../bin/commands.ts";
import { initNode } from "../../../node/init.ts";
import { startNode } from "../../../node/run.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { signFederation } from "../../../protocols/identity/federation.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { systemEntropy } from "../../../runtime/entropy.ts";
import { writeFederation } from "../../../runtime/federation.ts";
import { freePorts } from "../../../testnet/ports.ts";
import { bytesOf } from "../../support/bytes.ts";
import { runLine } from "../../unit/cli/harness.ts";
import { logTo, type Network, startNetwork, type TestUser } from "./network.ts";

let network: Network;
let user: TestUser;
let folder: string;

beforeAll(async () => {
  network = await startNetwork(3);
  user = await network.user();
  folder = await mkdtemp(path.join(tmpdir(), "intercloud-"));
});
afterAll(async () => {
  await network?.close();
  await rm(folder, { recursive: true, force: true });
});

const audit = (argv: readonly string[], options: Parameters<typeof runLine>[2] = {}) =>
  runLine(COMMAND_TABLE, ["audit", ...argv], options);
const dirOf = (name: string) => ["--dir", network.folder(name)];
const urlOf = (name: string) => network.nodes.get(name)?.adminUrl ?? "";

/** A JSON value that a command prints. */
async function json(argv: readonly string[]) {
  const { exitCode, stdout, stderr } = await audit([...argv, "--json"]);
  if (exitCode !== 0) throw new Error(`audit ${argv.join(" ")} ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout);
}

async function events(name: string): Promise<Record<string, unknown>[]> {
  const { exitCode, stdout, stderr } = await audit(["show", ...dirOf(name), "--json"]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

async function fileWith(name: string, content: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

test("what a node does is in its log, which is read while it runs and after", async () => {
  // All three are needed to read it, so each serves.
  const token = await user.deposit(bytesOf(100_000, 1), { threshold: 3, copies: 2 });
  expect(await user.retrieve(token)).toEqual(bytesOf(100_000, 1));
  const tokenId = Buffer.from(parseTokenText(token).tokenId).toString("hex");
  // provider-1 is at a port that its configuration does not tell: it takes any free one.
  const hidden = await audit(["verify", ...dirOf("provider-1")]);
  expect(hidden.exitCode).toBe(1);
  expect(hidden.stderr).toMatch(/--url .*\[ADMIN_UNKNOWN\]\n$/);
  const running = await json(["verify", "--url", urlOf("provider-1")]);
  expect(running).toMatchObject({ valid: true, node: null, peer: network.nodes.get("provider-1")?.peer });

  await network.stop("provider-1");
  const stopped = await json(["verify", ...dirOf("provider-1")]);
  expect(stopped).toMatchObject({ valid: true, node: "provider-1", federation: { valid: true } });
  expect(stopped.count).toBe(running.count + 1);
  const shown = await events("provider-1");
  expect(shown.map(({ kind }) => kind)).toEqual([
    ...["started", "dealt", "bound", "linked", "kept", "sealed", "served", "stopped"],
  ]);
  expect(shown.map(({ sequence }) => sequence)).toEqual(shown.map((_, index) => index + 1));
  expect(shown[0]).toMatchObject({ version: expect.any(String), peer: running.peer });
  expect(shown[6]).toMatchObject({ tokenId, purpose: "retrieve", identity: user.user.session.identity });

  await network.start("provider-1");
  expect((await json(["verify", "--url", urlOf("provider-1")])).count).toBe(stopped.count + 1);
});

test("a configured port is all that a directory needs", async () => {
  await network.stop("provider-2");
  const [port] = await freePorts(1);
  const file = path.join(network.folder("provider-2"), "config.json");
  const config = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...config, adminPort: port }));
  await network.start("provider-2");
  expect(await json(["verify", ...dirOf("provider-2")])).toMatchObject({ valid: true, node: "provider-2" });
  const shown = await audit(["show", ...dirOf("provider-2"), "--limit", "1"]);
  expect(shown.stdout).toMatch(/^1 {2}\S+Z {2}started version=/);
  await writeFile(file, JSON.stringify(config));
});

test("the admin server gives the entries as they are stored, page by page, and nothing secret", async () => {
  const ask = async (question: string) => {
    const response = await fetch(`${urlOf("provider-1")}${question}`, { signal: AbortSignal.timeout(10_000) });
    return { status: response.status, body: (await response.json()) as { count: number; entries: string[] } };
  };
  const head = await ask("/audit/head");
  expect(head).toMatchObject({ status: 200, body: { format: "intercloud-audit-head", count: expect.any(Number) } });
  const all = (await ask("/audit/entries")).body.entries;
  expect(all).toHaveLength(head.body.count);
  expect((await ask("/audit/entries?after=2&limit=3")).body.entries).toEqual(all.slice(2, 5));
  expect((await ask("/audit/entries?limit=0")).body.entries).toEqual([]);
  expect((await ask(`/audit/entries?after=${all.length}`)).body.entries).toEqual([]);
  for (const query of ["after=-1", "after=x", "limit=1001", "after=", "limit=1.5", "after=99999999999999999"]) {
    expect(await ask(`/audit/entries?${query}`), query).toMatchObject({ status: 400 });
  }
  const text = Buffer.concat(all.map((entry) => Buffer.from(entry, "base64")));
  for (const word of ["started", "served", "key:", user.user.session.identity]) expect(text.includes(word)).toBe(false);
  const metrics = await (await fetch(`${urlOf("provider-1")}/metrics`)).text();
  expect(metrics).toContain(`\nintercloud_audit_entries ${all.length}\n`);
});

test("an export is checked elsewhere, and one event of it can be shown to somebody", async () => {
  const file = path.join(folder, "export.jsonl");
  const federation = path.join(network.folder("provider-3"), "federation.json");
  const written = await json(["export", "--url", urlOf("provider-3"), "-o", file]);
  expect(written).toMatchObject({ file, peer: network.nodes.get("provider-3")?.peer });
  expect(await json(["verify", file, "--federation", federation])).toMatchObject({ valid: true, node: "provider-3" });
  const piped = await audit(["verify", "-"], { stdin: await readFile(file, "utf8") });
  expect(piped).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/federation +not checked[\s\S]*verdict +valid\n$/),
  });
  const again = await audit(["export", "--url", urlOf("provider-3"), "-o", file]);
  expect(again).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("[FILE_EXISTS]") });

  await network.stop("provider-3");
  const disclosure = await audit(["disclose", "2", ...dirOf("provider-3")]);
  expect(disclosure.exitCode).toBe(0);
  const disclosureFile = await fileWith("disclosure.json", disclosure.stdout);
  const shown = await json(["verify", file, "--disclosure", disclosureFile]);
  expect(shown.disclosed).toMatchObject({ sequence: 2, kind: "dealt" });
  // With the key of one event nothing else opens, and without the node's key file none does.
  expect(await audit(["show", file])).toMatchObject({ exitCode: 2 });
  expect((await audit(["show", file, ...dirOf("provider-3")])).stdout).toContain("dealt");
  const other = await audit(["show", file, ...dirOf("provider-1")]);
  expect(other).toMatchObject({ exitCode: 3, stdout: "", stderr: expect.stringContaining("[OTHER_NODES_LOG]") });
  expect(await audit(["disclose", "9999", ...dirOf("provider-3")])).toMatchObject({ exitCode: 6, stdout: "" });
  await network.start("provider-3");
});

test("a receipt finds a store that was put back to an older state, which nothing else can", async () => {
  await network.stop("provider-3");
  const store = path.join(network.folder("provider-3"), "store");
  const older = path.join(folder, "older-store");
  await cp(store, older, { recursive: true });
  await network.start("provider-3");
  await network.stop("provider-3");
  const receipt = await audit(["head", ...dirOf("provider-3")]);
  const receiptFile = await fileWith("receipt.json", receipt.stdout);
  const withReceipt = ["verify", ...dirOf("provider-3"), "--receipt", receiptFile];
  expect(await json(withReceipt)).toMatchObject({ valid: true, receipts: [{ file: receiptFile, valid: true }] });

  await rm(store, { recursive: true });
  await cp(older, store, { recursive: true });
  expect(await json(["verify", ...dirOf("provider-3")])).toMatchObject({ valid: true });
  const found = await audit(withReceipt);
  expect(found).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("older state") });
  // A node that lost its store begins another log.
  await rm(store, { recursive: true });
  await network.start("provider-3");
  const fresh = await audit(["verify", "--url", urlOf("provider-3"), "--receipt", receiptFile]);
  expect(fresh).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("another log") });
});

test("a stopped node whose log was changed by hand: the entry is named, and the node does not start", async () => {
  await network.stop("provider-2");
  const directory = path.join(network.folder("provider-2"), "store/records");
  const level = new Level<string, Uint8Array>(directory, { valueEncoding: "view", compression: false });
  const row = "~log:0000000000000002";
  const entry = await level.get(row);
  await level.del(row);
  await level.close();
  const { exitCode, stdout, stderr } = await audit(["verify", ...dirOf("provider-2"), "--json"]);
  expect(exitCode).toBe(5);
  expect(JSON.parse(stdout)).toMatchObject({
    valid: false,
    goodEntries: 1,
    firstBroken: { sequence: 2, problem: "missing" },
  });
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: "AUDIT_BROKEN", details: { sequence: 2 } } });
  await expect(network.start("provider-2")).rejects.toMatchObject({
    ...{ code: "STORE_DAMAGED", message: expect.stringContaining("entry 2 is missing or altered") },
  });
  await level.open();
  await level.put(row, entry);
  await level.close();
  expect(await json(["verify", ...dirOf("provider-2")])).toMatchObject({ valid: true });
  await network.start("provider-2");
});

test("another node's store in a node's directory is not that node's log", async () => {
  await network.stop("provider-1");
  await network.stop("provider-2");
  const [store, foreign] = ["provider-1", "provider-2"].map((name) => path.join(network.folder(name), "store"));
  const own = path.join(folder, "own-store");
  await cp(store!, own, { recursive: true });
  await rm(store!, { recursive: true });
  await cp(foreign!, store!, { recursive: true });
  const found = await audit(["verify", ...dirOf("provider-1")]);
  expect(found).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("not of this node") });
  expect(await audit(["show", ...dirOf("provider-1")])).toMatchObject({ exitCode: 3, stdout: "" });
  await rm(store!, { recursive: true });
  await cp(own, store!, { recursive: true });
  await network.start("provider-1");
  await network.start("provider-2");
});

test("a sealed key file asks for its passphrase to show the log, and not to check it", async () => {
  const directory = path.join(folder, "sealed");
  const passphrase = await fileWith("passphrase", "correct horse\n");
  const listen = ["/ip4/127.0.0.1/tcp/0"];
  const announce = ["/ip4/127.0.0.1/tcp/4001"];
  const { descriptor } = await initNode({ directory, name: "sealed", listen, announce, passphrase: "correct horse" });
  const none = await audit(["verify", "--dir", directory]);
  expect(none).toMatchObject({ exitCode: 6, stderr: expect.stringContaining("[NO_AUDIT_LOG]") });
  const federation = signFederation({ name: "one", providers: [descriptor], dealers: [] }, newSigner(systemEntropy));
  await writeFederation(path.join(directory, "federation.json"), federation);
  await (await startNode({ directory, passphraseFile: passphrase, log: logTo([]) })).stop();

  expect(await json(["verify", "--dir", directory])).toMatchObject({ valid: true, node: "sealed", count: 2 });
  const show = ["show", "--dir", directory];
  expect(await audit(show)).toMatchObject({ exitCode: 3, stderr: expect.stringContaining("[PASSPHRASE_NEEDED]") });
  const wrong = await audit(show, { env: { INTERCLOUD_PASSPHRASE: "wrong" } });
  expect(wrong).toMatchObject({ exitCode: 3, stdout: "", stderr: expect.stringContaining("[WRONG_PASSPHRASE]") });
  for (const opened of [
    await audit([...show, "--passphrase-file", passphrase]),
    await audit(show, { env: { INTERCLOUD_PASSPHRASE_FILE: passphrase } }),
  ]) {
    expect(opened).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^1 .*started.*\n2 .*stopped\n$/) });
  }
});

test.each<[string, number, () => readonly string[]]>([
  ["no log", 2, () => ["verify"]],
  ["two logs", 2, () => ["verify", "a.jsonl", ...dirOf("provider-1")]],
  ["a directory and an address", 2, () => ["head", "--url", "http://127.0.0.1:1", ...dirOf("provider-1")]],
  ["an address that is none", 2, () => ["verify", "--url", "provider-1"]],
  ["an address of another kind", 2, () => ["verify", "--url", "file:///etc/passwd"]],
  ["nobody at the address", 4, () => ["verify", "--url", "http://127.0.0.1:1"]],
  ["a directory that is not there", 6, () => ["verify", "--dir", path.join(folder, "nowhere")]],
  ["a directory of something else", 6, () => ["head", "--dir", folder]],
  ["a file that is not there", 6, () => ["verify", path.join(folder, "nowhere")]],
  ["a file of another kind", 2, () => ["verify", path.join(network.folder("provider-1"), "config.json")]],
  ["a receipt that is none", 2, () => ["verify", ...dirOf("provider-1"), "--receipt", "/dev/null"]],
  ["a disclosure that is none", 2, () => ["verify", ...dirOf("provider-1"), "--disclosure", "/dev/null"]],
  ["a federation that is not there", 6, () => ["verify", "--url", urlOf("provider-1"), "--federation", "/nowhere"]],
  ["no node to show", 2, () => ["show"]],
  ["a number that is none", 2, () => ["disclose", "first", ...dirOf("provider-1")]],
  ["entry 0", 2, () => ["disclose", "0", ...dirOf("provider-1")]],
  ["a negative limit", 2, () => ["show", ...dirOf("provider-1"), "--limit", "-1"]],
  [
    "an export into no directory",
    1,
    () => ["export", "--url", urlOf("provider-1"), "-o", path.join(folder, "no/where")],
  ],
])("%s: exit code %i, nothing on stdout and a word on what to do", async (_, exitCode, argv) => {
  const outcome = await audit(argv());
  expect({ exitCode: outcome.exitCode, stdout: outcome.stdout }).toEqual({ exitCode, stdout: "" });
  expect(outcome.stderr).toMatch(/^intercloud: .+\[\w+\]\n$/);
});

test("a node that is not in the federation file is not believed", async () => {
  const strangers = await startNetwork(1);
  try {
    const federation = path.join(strangers.folder("provider-1"), "federation.json");
    const found = await audit(["verify", "--url", urlOf("provider-1"), "--federation", federation]);
    expect(found).toMatchObject({ exitCode: 5, stderr: expect.stringContaining("not in the federation file") });
  } finally {
    await strangers.close();
  }
});
