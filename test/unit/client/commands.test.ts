/** What the user's commands do before anybody is asked: identities, and wrong use. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { expect, test } from "vitest";
import { COMMAND_TABLE } from "../../../bin/commands.ts";
import { withNames } from "../../../client/commands/shared.ts";
import { createHome } from "../../../client/home.ts";
import { directoryOf } from "../../../client/open-client.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { identityOfKey } from "../../../protocols/identity/identity.ts";
import { formatTokenText } from "../../../protocols/tokens/token-text.ts";
import { RemoteError } from "../../../protocols/wire/errors.ts";
import { bytesOf } from "../../support/bytes.ts";
import { runLine } from "../cli/harness.ts";
import { testFederation } from "./federation.ts";
import { filesBelow, testFolder } from "./folder.ts";

const folder = await testFolder();
const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const home = path.join(folder, "home");
const federation = testFederation();
await createHome({ directory: home, federation, settings: { threshold: 3 }, entropy });
const file = path.join(folder, "message");
await writeFile(file, "hello");
const somebody = identityOfKey(bytesOf(32, 3));
const token = formatTokenText({ tokenId: bytesOf(32, 1), home: peerNameOf(bytesOf(32, 2)) });

async function run(argv: readonly string[], env: Record<string, string> = {}, stdin = "") {
  return await runLine(COMMAND_TABLE, argv, { env: { INTERCLOUD_HOME: home, ...env }, stdin });
}

async function runAtTerminal(argv: readonly string[], stdin: string) {
  return await runLine(COMMAND_TABLE, argv, { env: { INTERCLOUD_HOME: home }, stdin, terminal: true });
}

test("id new makes one identity, and never a second", async () => {
  const directory = path.join(folder, "id");
  const made = await run(["id", "new", "--home", directory]);
  expect(made).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^key:\S+\n$/) });
  expect(await run(["id", "show", "--home", directory])).toMatchObject({ exitCode: 0, stdout: made.stdout });
  const shown = JSON.parse((await run(["id", "show", "--json", "--home", directory])).stdout);
  expect(shown).toEqual({ identity: made.stdout.trim(), home: directory });
  const before = await filesBelow(directory);
  expect(await run(["id", "new", "--home", directory])).toMatchObject({ stdout: "", exitCode: 1 });
  expect(await filesBelow(directory)).toEqual(before);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

test("a sealed identity asks for its passphrase, and leaves its home only sealed", async () => {
  const directory = path.join(folder, "sealed");
  const passphrase = path.join(folder, "passphrase");
  await writeFile(passphrase, "correct horse\n");
  const withFile = ["--passphrase-file", passphrase, "--home", directory];
  const made = await run(["id", "new", ...withFile]);
  expect(await run(["id", "show", "--home", directory])).toMatchObject({ exitCode: 3, stdout: "" });
  expect((await run(["id", "show", "--home", directory], { INTERCLOUD_PASSPHRASE: "wrong" })).exitCode).toBe(3);
  expect((await run(["id", "show", ...withFile])).stdout).toBe(made.stdout);

  const copy = path.join(folder, "copy.json");
  const exporting = ["id", "export", "--home", directory];
  const opened = { INTERCLOUD_PASSPHRASE: "correct horse" };
  expect((await run(exporting, opened)).exitCode).toBe(2);
  expect((await run([...exporting, "-o", "-"], opened)).exitCode).toBe(2);
  expect((await run([...exporting, "-o", copy])).exitCode).toBe(2);
  const other = path.join(folder, "other-passphrase");
  await writeFile(other, "battery staple");
  expect(await run([...exporting, "-o", copy, "--passphrase-file", other], opened)).toMatchObject({ exitCode: 0 });
  expect((await run([...exporting, "-o", copy, "--passphrase-file", other], opened)).exitCode).toBe(1);

  const elsewhere = path.join(folder, "elsewhere");
  await mkdir(elsewhere);
  await writeFile(path.join(elsewhere, "identity.json"), await readFile(copy), { mode: 0o600 });
  const there = ["id", "show", "--home", elsewhere, "--passphrase-file", other];
  expect((await run(there)).stdout).toBe(made.stdout);
});

test.each([
  ["a word that is no token", ["get", "hello"]],
  ["a token with a wrong character", ["get", `${token.slice(0, -1)}${token.endsWith("q") ? "p" : "q"}`]],
  ["a token that is cut", ["get", token.slice(0, -1)]],
  ["a token of two", ["get", token + token]],
  ["no token", ["get"]],
  ["a route that does not exist", ["get", token, "--route", "ring"]],
  ["an output in no directory", ["get", token, "-o", path.join(folder, "no/where")]],
  ["an output that exists", ["get", token, "-o", file]],
  ["show of no token", ["show", "hello"]],
  ["verify of neither a token nor a file", ["verify", "hello"]],
  ["trace of a mistyped token", ["trace", token.slice(0, -1)]],
  ["a grant of no token", ["grant", "hello", somebody]],
  ["a grant to nobody", ["grant", token]],
  ["a grant for another purpose", ["grant", token, somebody, "--purpose", "destroy"]],
  ["a grant that ends at no time", ["grant", token, somebody, "--expires", "soon"]],
  ["a grant that ends on a day that is none", ["grant", token, somebody, "--expires", "2030-02-30"]],
  ["a revoke of no token", ["revoke", token.slice(0, -1), somebody]],
  ["a revoke from nobody", ["revoke", token]],
  ["a destroy of no token", ["destroy", "hello", "--yes"]],
  ["a destroy that nobody can be asked about", ["destroy", token]],
  ["receipts to a file that exists", ["destroy", token, "--yes", "--receipts", file]],
  ["receipts to no directory", ["destroy", token, "--yes", "--receipts", path.join(folder, "no/where")]],
  ["a file that is not there", ["put", path.join(folder, "none")]],
  ["a directory", ["put", folder]],
  ["nothing to put", ["put"]],
  ["Protocol 4", ["put", file, "--protocol", "4"]],
  ["a threshold of 1", ["put", file, "--threshold", "1"]],
  ["a threshold above the providers", ["put", file, "--providers", "3", "--threshold", "4"]],
  ["more providers than there are", ["put", file, "--providers", "6"]],
  ["more copies than providers", ["put", file, "--copies", "6"]],
  ["a flag that does not exist", ["put", file, "--hole"]],
  ["a file to encrypt that is not there", ["encrypt", path.join(folder, "none")]],
  ["a directory to encrypt", ["encrypt", folder]],
  ["encrypting to where something is", ["encrypt", file, "-o", file]],
  ["encrypting two files", ["encrypt", file, file]],
  ["a threshold above the providers for a key", ["encrypt", file, "--providers", "3", "--threshold", "4"]],
  ["a file to decrypt that is not there", ["decrypt", path.join(folder, "none")]],
  ["decrypting to where something is", ["decrypt", file, "-o", file]],
  ["decrypting what is no age file", ["decrypt", file]],
  ["decrypting nothing", ["decrypt"]],
])("%s is wrong use: exit code 2, nothing on stdout, and a word on what to do", async (_, argv) => {
  const { exitCode, stdout, stderr } = await run(argv);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  expect(stderr).toMatch(/^intercloud: .+\[\w+\]\n$/);
});

test.each([
  ["a name that is no key", "bob@example.org"],
  ["a key with a wrong character", `${somebody.slice(0, -1)}0`],
  ["a key that is cut", somebody.slice(0, -4)],
  ["nothing", ""],
])("%s is refused as an identity: exit code 3", async (_, identity) => {
  for (const command of ["grant", "revoke"]) {
    const { exitCode, stdout, stderr } = await run([command, token, identity]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: "" });
    expect(stderr).toMatch(/intercloud id show.+\[BAD_IDENTITY\]\n$/);
  }
});

test("a grant to oneself, and one that has ended already, are refused before anybody is asked: exit code 3", async () => {
  const self = (await run(["id", "show"])).stdout.trim();
  expect(await run(["grant", token, self])).toMatchObject({
    ...{ exitCode: 3, stdout: "", stderr: expect.stringContaining("GRANT_TO_SELF") },
  });
  for (const expires of ["2020-01-01", "2020-01-01T00:00:00Z"]) {
    expect(await run(["grant", token, somebody, "--expires", expires])).toMatchObject({
      ...{ exitCode: 3, stdout: "", stderr: expect.stringContaining("EXPIRY_PAST") },
    });
  }
});

test("a destroy is asked about at a terminal, and anything but yes leaves everything as it is", async () => {
  for (const [answer, exitCode] of [
    ["no\n", 1],
    ["", 1],
    ["yess\n", 1],
    ["yes\n", 4], // goes on to ask the providers, of whom nobody is up
    ["Y\n", 4],
  ] as const) {
    const outcome = await runAtTerminal(["destroy", token], answer);
    expect({ answer, ...outcome }).toMatchObject({ answer, exitCode, stdout: "" });
    expect(outcome.stderr).toContain(`Destroy ${token}?`);
    if (exitCode === 1) expect(outcome.stderr).toContain("[NOT_CONFIRMED]");
  }
});

test("an empty message cannot be shared whole, from a file or from a pipe", async () => {
  const empty = path.join(folder, "empty");
  await writeFile(empty, "");
  for (const argument of [empty, "-"]) {
    expect(await run(["put", "--whole", argument])).toMatchObject({ exitCode: 2, stdout: "" });
  }
});

test("without a home, every command says how to get one: exit code 3", async () => {
  const nowhere = { INTERCLOUD_HOME: path.join(folder, "nowhere") };
  for (const argv of [
    ["put", file],
    ["encrypt", file],
    ["decrypt", file],
    ["get", token],
    ["list"],
    ["show", token],
    ["trace", token],
    ["id", "show"],
  ]) {
    const { exitCode, stdout, stderr } = await run(argv, nowhere);
    expect({ argv, exitCode, stdout }).toEqual({ argv, exitCode: 3, stdout: "" });
    expect(stderr).toContain("intercloud id new");
  }
});

test("an encrypted file is not written to a terminal, unless that is asked for", async () => {
  const { load } = COMMAND_TABLE.commands.find(({ name }) => name === "encrypt") ?? {};
  const { command } = (await load?.()) ?? {};
  const stream = () => Object.assign(new PassThrough(), { isTTY: true });
  const run = (options: Record<string, string>) =>
    command?.run({
      ...{ args: [file], options, home, json: false, env: {}, signal: new AbortController().signal },
      ...{ stdin: Readable.from([]), stdout: stream(), stderr: new PassThrough() },
    });
  await expect(run({})).rejects.toMatchObject({ code: "USAGE", message: expect.stringContaining("-o FILE") });
  await expect(run({ output: "-" })).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
  await expect(run({ output: path.join(folder, "new.age") })).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
});

test("what fails leaves no file", async () => {
  const output = path.join(folder, "failed.age");
  expect((await run(["encrypt", file, "-o", output])).exitCode).toBe(4);
  expect([...(await filesBelow(folder)).keys()].filter((name) => /failed|partial/.test(name))).toEqual([]);
});

test("a misspelt setting in the home is wrong use", async () => {
  const directory = path.join(folder, "typo");
  await createHome({ directory, federation: testFederation(), settings: {}, entropy });
  await writeFile(path.join(directory, "config.json"), '{"treshold": 3}');
  expect(await run(["put", file, "--home", directory])).toMatchObject({
    ...{ exitCode: 2, stdout: "", stderr: expect.stringContaining("threshold") },
  });
});

test("with nobody up it is exit code 4, and says how many answered and how many are needed", async () => {
  const { exitCode, stdout, stderr } = await run(["put", file]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: "" });
  expect(stderr).toContain("0 of 5");
  expect((await run(["get", "-"], {}, `${token}\n`)).exitCode).toBe(4);
});

test("an error calls peers by their names in the federation", () => {
  const { providers } = federation;
  const members = { providers: providers.map(({ peer }) => peer), dealers: [], nameOf: directoryOf(federation).nameOf };
  const error = new RemoteError(providers[1]?.peer ?? "", "busy", { retryAfterMs: 5 });
  expect(withNames(error, members)).toMatchObject({
    ...{ code: "REMOTE_BUSY", status: "busy", message: 'provider-2 answered "busy"', details: { retryAfterMs: 5 } },
  });
  const plain = new Error("plain");
  expect(withNames(plain, members)).toBe(plain);
});
