/** Files that stay with the user: `encrypt` and `decrypt` as a user types them, and everything that may be wrong with them. */
import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { expect, test } from "vitest";
import { sealEnvelope } from "../../protocols/envelope/index.ts";
import { formatTokenText, parseTokenText } from "../../protocols/tokens/token-text.ts";
import { bytesOf, collect, sourceOf } from "../support/bytes.ts";
import { type Outcome, ROOT } from "./intercloud.ts";
import { testnetUser } from "./user.ts";

const MIB = 1024 * 1024;
const SETTLE_MS = 30_000;
const user = await testnetUser(5, 3);
const { directory, home } = user;
const message = bytesOf(3 * MIB + 17, 1);
const encrypted = await encrypt(message);

async function encrypt(bytes: Uint8Array, ...flags: string[]): Promise<Uint8Array> {
  const { exitCode, bytes: file, stderr } = await user.run(["encrypt", ...flags], { stdin: bytes });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return file;
}

async function expectDecrypted(file: Uint8Array, bytes: Uint8Array, ...flags: string[]): Promise<void> {
  const outcome = await user.run(["decrypt", ...flags], { stdin: file });
  expect({ exitCode: outcome.exitCode, stderr: outcome.stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(Buffer.compare(outcome.bytes, bytes)).toBe(0);
}

function tokenOf(file: Uint8Array): string {
  return /^-> intercloud\/v1 (ict1\w+)$/m.exec(Buffer.from(file.subarray(0, 1_000)).toString("latin1"))?.[1] ?? "";
}

function expectFailure(outcome: Outcome, exitCode: number, code: string): void {
  expect({ exitCode: outcome.exitCode, stderr: outcome.stderr }).toEqual({
    ...{ exitCode, stderr: expect.stringMatching(`^intercloud: .+\\[${code}\\]\\n$`) },
  });
}

test("a folder goes through a pipe into one file and back, as tar would have it", async () => {
  const folder = path.join(directory, "folder");
  await mkdir(path.join(folder, "deep"), { recursive: true });
  await writeFile(path.join(folder, "deep/file"), bytesOf(700_000, 2));
  await writeFile(path.join(folder, "empty"), "");
  await mkdir(path.join(directory, "back"));
  const intercloud = `"${path.join(ROOT, "bin/intercloud")}"`;
  const line =
    `set -o pipefail; cd "${directory}"; export INTERCLOUD_HOME="${home}"; ` +
    `tar c folder | ${intercloud} encrypt > x.age && ${intercloud} decrypt < x.age | tar x -C back && diff -r folder back/folder`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", line]);
  expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" });
  expect(await readdir(path.join(home, "tmp")).catch(() => [])).toEqual([]);
});

test.each([
  ["nothing", 0, [], []],
  ["one byte, by fanout and chain", 1, ["--route", "fanout"], ["--route", "chain"]],
  ["a few chunks, with Protocol 2", 200_000, ["--protocol", "2"], []],
  ["among three of them", 65_536, ["--providers", "3", "--threshold", "2", "--copies", "1"], []],
])("%s", async (_, lengthBytes, encryptFlags, decryptFlags) => {
  const bytes = bytesOf(lengthBytes, 3);
  await expectDecrypted(await encrypt(bytes, ...encryptFlags), bytes, ...decryptFlags);
});

test("any three of five open it; with two it is exit code 4", async () => {
  await user.testnet("kill", "provider-1", "provider-4");
  await expectDecrypted(encrypted, message);
  await user.testnet("kill", "provider-5");
  const outcome = await user.run(["decrypt"], { stdin: encrypted });
  expectFailure(outcome, 4, "NOT_ENOUGH_PROVIDERS");
  expect(outcome.stderr).toContain("2 of 3");
  const tooFew = await user.run(["encrypt"], { stdin: message });
  expectFailure(tooFew, 4, "NOT_ENOUGH_PROVIDERS");
  expect([outcome.stdout, tooFew.stdout]).toEqual(["", ""]);
  await user.testnet("start", "provider-1", "provider-4", "provider-5");
});

test("with every dealer dead encrypt goes on with the deals in stock, and put with what its user deals itself", async () => {
  expect((await user.run(["stock", "fill"])).stdout).toMatch(/^fetched [0-3], 3 in stock\n$/);
  await user.testnet("kill", "dealer-1");
  await expectDecrypted(await encrypt(message), message);
  const { deals, size } = JSON.parse((await user.run(["stock", "show", "--json"])).stdout);
  expect({ deals: deals.length, size }).toEqual({ deals: 2, size: 3 });
  expect((await user.run(["stock", "drop"])).stdout).toBe("dropped 2\n");
  const none = await user.run(["encrypt"], { stdin: message });
  expectFailure(none, 4, "NO_DEAL");
  expect(none.stderr).toContain("--dealer self");
  const token = await user.put(message, "--dealer", "self");
  await user.expectBack(token, message);
  const { stdout } = await user.run(["verify", token]);
  expect(stdout).toMatch(/^dealer +self: the owner dealt it$/m);
  expect(stdout).toMatch(/^verdict +valid$/m);
  await user.testnet("start", "dealer-1");
});

test("from file to file, of mode 0600, with what --json says, and list knows its name", async () => {
  const folder = path.join(directory, "files");
  await mkdir(folder);
  const [plain, sealed, back] = ["plain", "sealed.age", "back"].map((name) => path.join(folder, name)) as [
    ...[string, string, string],
  ];
  await writeFile(plain, message);
  const made = await user.run(["encrypt", plain, "-o", sealed, "--json"]);
  expect({ exitCode: made.exitCode, stderr: made.stderr }).toEqual({ exitCode: 0, stderr: "" });
  const about = JSON.parse(made.stdout);
  const token = tokenOf(await readFile(sealed));
  expect(about).toMatchObject({ token, file: sealed, lengthBytes: message.length, providers: 5, threshold: 3 });
  expect((await stat(sealed)).mode & 0o777).toBe(0o600);
  const got = await user.run(["decrypt", sealed, "-o", back, "--json"]);
  expect(JSON.parse(got.stdout)).toEqual({ token, file: back, lengthBytes: message.length });
  expect(Buffer.compare(await readFile(back), message)).toBe(0);

  const piped = await user.run(["encrypt", plain, "--json"]);
  expect(JSON.parse(piped.stderr)).toMatchObject({
    token: tokenOf(piped.bytes),
    file: null,
    lengthBytes: message.length,
  });
  await expectDecrypted(piped.bytes, message);
  const { deposits } = JSON.parse((await user.run(["list", "--json"])).stdout);
  expect(deposits.find((each: { token: string }) => each.token === token)).toMatchObject({
    ...{ name: "sealed.age", form: "detached", lengthBytes: 32 },
  });
  for (const args of [
    ["encrypt", plain, "-o", sealed],
    ["decrypt", sealed, "-o", back],
  ]) {
    expectFailure(await user.run(args), 2, "FILE_EXISTS");
    expect((await user.run([...args, "--force"])).exitCode).toBe(0);
  }
  expect((await readdir(folder)).sort()).toEqual(["back", "plain", "sealed.age"]);
});

test("get of a key says what to do, and decrypt of a file that names a whole message is an integrity failure", async () => {
  const outcome = await user.run(["get", tokenOf(encrypted)]);
  expectFailure(outcome, 2, "FILE_ELSEWHERE");
  expect(outcome.stderr).toContain("intercloud decrypt");
  expect(outcome.stdout).toBe("");
  const naming = await fileNaming(await user.put(bytesOf(32, 4)));
  expectFailure(await user.run(["decrypt"], { stdin: naming }), 5, "NO_ENVELOPE_KEY");
  expect((await user.run(["show", tokenOf(encrypted)])).stdout).toMatch(/form +detached: the key of a file/);
  expect((await user.run(["verify", tokenOf(encrypted)])).exitCode).toBe(0);
});

test("what is no file of ours is wrong use, and says what it is", async () => {
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(await generateX25519Identity()));
  const files: [string, Uint8Array][] = [
    ["NOT_AN_AGE_FILE", message],
    ["NOT_AN_AGE_FILE", new Uint8Array()],
    ["NOT_AN_AGE_FILE", encrypted.subarray(1)],
    ["AGE_VERSION", Buffer.from("age-encryption.org/v9\n")],
    ["NOT_OUR_FILE", await encrypter.encrypt("hello")],
  ];
  for (const [code, file] of files) {
    const outcome = await user.run(["decrypt"], { stdin: file });
    expectFailure(outcome, 2, code);
    expect(outcome.stdout).toBe("");
  }
});

test("a file that was cut short, or changed by a bit, is an integrity failure, and no file comes of it", async () => {
  const headBytes = encrypted.length - (message.length + 49 * 16);
  const A = 0x41;
  // another letter of base64, whatever was there
  const relettered = (at: number) => encrypted.map((byte, i) => (i === at ? (byte === A ? A + 1 : A) : byte));
  const flipped = (at: number) => encrypted.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const wrong: [string, Uint8Array, number][] = [
    ["HEADER_DAMAGED", encrypted.subarray(0, 100), 0],
    ["HEADER_DAMAGED", encrypted.subarray(0, headBytes - 1), 0],
    ["WRONG_ENVELOPE_KEY", relettered(headBytes - 16 - 49 - 40), 0],
    ["HEADER_FORGED", relettered(headBytes - 16 - 10), 0],
    ["FILE_DAMAGED", flipped(headBytes - 10), 0],
    ["FILE_DAMAGED", flipped(headBytes + 2 * MIB), 31 * 65_536],
    ["FILE_DAMAGED", encrypted.subarray(0, headBytes + 65_552), 65_536],
    ["FILE_DAMAGED", encrypted.subarray(0, -1), 3 * MIB],
    ["FILE_DAMAGED", Buffer.concat([encrypted, Buffer.from("\n")]), 3 * MIB],
  ];
  const folder = path.join(directory, "wrong");
  await mkdir(folder);
  for (const [code, file, releasedBytes] of wrong) {
    const outcome = await user.run(["decrypt"], { stdin: file });
    expectFailure(outcome, 5, code);
    expect(Buffer.compare(outcome.bytes, message.subarray(0, releasedBytes))).toBe(0);
    const toFile = await user.run(["decrypt", "-o", path.join(folder, "file")], { stdin: file });
    expectFailure(toFile, 5, code);
  }
  expect(await readdir(folder)).toEqual([]);
});

test("another identity is refused, and a deposit that nobody knows is not found", async () => {
  const stranger = path.join(directory, "stranger");
  expect((await user.run(["id", "new"], { home: stranger })).exitCode).toBe(0);
  await copyFile(path.join(home, "federation.json"), path.join(stranger, "federation.json"));
  expectFailure(await user.run(["decrypt"], { stdin: encrypted, home: stranger }), 3, "NOT_THE_OWNER");
  const nobodys = formatTokenText({ ...parseTokenText(tokenOf(encrypted)), tokenId: bytesOf(32, 5) });
  expectFailure(await user.run(["decrypt"], { stdin: await fileNaming(nobodys) }), 6, "NO_SUCH_DEPOSIT");
});

test("Ctrl-C while the pipe is silent ends at once, and leaves no file", async () => {
  const folder = path.join(directory, "interrupted");
  await mkdir(folder);
  const before = await depositCount();
  for (const [command, bytes] of [
    ["encrypt", message],
    ["decrypt", encrypted.subarray(0, 2 * MIB)],
  ] as const) {
    const pipe = new PassThrough();
    pipe.write(bytes);
    let interrupt = () => {};
    const running = user.run([command, "-o", path.join(folder, "file")], {
      ...{ stdin: pipe, onStart: (child) => (interrupt = () => void child.kill("SIGINT")) },
    });
    await expect.poll(() => readdir(folder), { timeout: SETTLE_MS, interval: 5 }).toHaveLength(1);
    interrupt();
    expectFailure(await running, 130, "CANCELLED");
    expect(await readdir(folder)).toEqual([]);
  }
  expect(await depositCount()).toBe(before);
});

test("a reader that goes away ends it quietly, and the providers forget the key of what it left", async () => {
  const before = await depositCount();
  const line = `"${path.join(ROOT, "bin/intercloud")}" encrypt /dev/zero --home "${home}" | head -c 1000000 | wc -c`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", line]);
  expect({ read: stdout.trim(), stderr }).toEqual({ read: "1000000", stderr: "" });
  expect(await depositCount()).toBe(before);
});

async function depositCount(): Promise<number> {
  return JSON.parse((await user.run(["list", "--json"])).stdout).deposits.length;
}

/** An age file whose header names this deposit, under a key that nobody deposited. */
async function fileNaming(tokenText: string): Promise<Uint8Array> {
  let drawn = 6;
  const envelope = {
    envelopeKey: bytesOf(32, 5),
    tokenText,
    entropy: (lengthBytes: number) => bytesOf(lengthBytes, drawn++),
  };
  return await collect(sealEnvelope(envelope, sourceOf(message, 100_000)));
}
