/** First light: real processes keep a real file, and give it back with n-t of them dead. */
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { openClient, openHome } from "../../client/index.ts";
import { bytesOf, collect, sourceOf } from "../support/bytes.ts";
import { intercloud, intercloudJson, ROOT } from "./intercloud.ts";
import { flipBit, testnetUser } from "./user.ts";

const MIB = 1024 * 1024;
const user = await testnetUser(5, 3);
const { directory, home } = user;

test.each([1, MIB])("%d bytes survive the death of two of five, and not of three", async (lengthBytes) => {
  const message = bytesOf(lengthBytes, 1);
  const file = await user.file(`message-${lengthBytes}`, message);
  const put = await user.run(["put", "--whole", file]);
  expect({ exitCode: put.exitCode, stderr: put.stderr }).toEqual({ exitCode: 0, stderr: "" });
  const token = put.stdout.trim();

  await user.testnet("kill", "provider-1", "provider-4");
  await user.expectBack(token, message);

  await user.testnet("kill", "provider-5");
  const tooFew = await user.run(["get", token]);
  expect({ exitCode: tooFew.exitCode, stdout: tooFew.stdout }).toEqual({ exitCode: 4, stdout: "" });
  expect(tooFew.stderr).toContain("2 of 3");
  expect(tooFew.stderr).toContain("provider-1, provider-4, provider-5");

  await user.testnet("start", "provider-1");
  await user.expectBack(token, message);
  await user.testnet("start", "provider-4", "provider-5");

  const { valid, links } = await intercloudJson(["trace", token], { home });
  expect(valid).toBe(true);
  expect(links.map((link: { index: number; provider: string; valid: boolean }) => [link.index, link.provider])).toEqual(
    [1, 2, 3, 4, 5].map((index) => [index, `provider-${index}`]),
  );
  expect(links.every((link: { valid: boolean }) => link.valid)).toBe(true);
});

test.each([
  ["Protocol 3, chain and chain", [], ["--route", "chain"]],
  ["Protocol 3, fanout and fanout", ["--route", "fanout"], ["--route", "fanout"]],
  ["Protocol 2", ["--protocol", "2"], []],
  ["Protocol 2, fanout and chain", ["--protocol", "2", "--route", "fanout"], ["--route", "chain"]],
  ["Protocol 1", ["--protocol", "1"], []],
  ["Protocol 1, fanout and chain", ["--protocol", "1", "--route", "fanout"], ["--route", "chain"]],
  ["two of three, one copy", ["--providers", "3", "--threshold", "2", "--copies", "1"], []],
])("%s", async (_, putFlags, getFlags) => {
  const message = bytesOf(2 * MIB + 17, 2);
  const token = await user.put(message, ...putFlags);
  await user.expectBack(token, message, ...getFlags);
  expect(await intercloudJson(["verify", token], { home })).toMatchObject({ valid: true, firstBreak: null });
});

test("Protocol 2 cannot be read without the share that the home keeps", async () => {
  const token = await user.put(bytesOf(100, 3), "--protocol", "2");
  const bare = path.join(directory, "bare-home");
  await mkdir(bare, { mode: 0o700 });
  for (const name of ["identity.json", "federation.json"]) {
    await promisify(execFile)("cp", ["-p", path.join(home, name), bare]);
  }
  const { exitCode, stdout, stderr } = await user.run(["get", token], { home: bare });
  expect({ exitCode, stdout }).toEqual({ exitCode: 6, stdout: "" });
  expect(stderr).toContain("[NO_USER_SHARE]");
});

test("Protocol 1 is read from its home alone, with everybody else dead", async () => {
  const message = bytesOf(100_000, 5);
  const token = await user.put(message, "--protocol", "1");
  const others = ["provider-2", "provider-3", "provider-4", "provider-5"];
  await user.testnet("kill", ...others);
  await user.expectBack(token, message);
  expect((await user.run(["destroy", token, "--yes"])).stderr).toContain("the 3 that keep the ciphertext are needed");
  await user.testnet("start", ...others);
});

test("in and out through pipes, the token too, and nothing is left in the home", async () => {
  const message = bytesOf(MIB, 4);
  const { stdout: token } = await user.run(["put", "--whole", "-"], { stdin: message });
  const got = await user.run(["get", "-"], { stdin: token });
  expect(got.exitCode).toBe(0);
  expect(Buffer.compare(got.bytes, message)).toBe(0);
  expect(await readdir(path.join(home, "tmp"))).toEqual([]);
});

test("put and get as a user types them: the body is with the keepers, from pipe to pipe and to a file", async () => {
  const message = bytesOf(8 * MIB, 11);
  const put = await user.run(["put", "-"], { stdin: message });
  expect({ exitCode: put.exitCode, stderr: put.stderr }).toEqual({ exitCode: 0, stderr: "" });
  const token = put.stdout.trim();
  await user.expectBack(token, message);
  const { tokenId, envelope, ...shown } = await intercloudJson(["show", token], { home });
  expect(shown).toMatchObject({ form: "envelope", lengthBytes: message.length });
  for (const number of [1, 2, 3, 4, 5]) {
    const bodies = (await user.bodies(number)).filter((name) => name === `envelope-${tokenId}`);
    expect(bodies).toHaveLength(number <= 3 ? 1 : 0);
    expect(shown.holders[number - 1].holdsEnvelope).toBe(number <= 3);
  }
  // an age file like any other, which its deposit opens wherever it is
  const file = path.join(user.net, "provider-1/store/bodies", `envelope-${tokenId}`);
  expect((await stat(file)).size).toBe(envelope.lengthBytes);
  const decrypted = await user.run(["decrypt", file]);
  expect({ exitCode: decrypted.exitCode, stderr: decrypted.stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(Buffer.compare(decrypted.bytes, message)).toBe(0);

  for (const number of [1, 2]) {
    const damaged = path.join(user.net, `provider-${number}/store/bodies`, `envelope-${tokenId}`);
    await flipBit(damaged, message.length >> 1);
  }
  const back = path.join(directory, "back");
  const got = await user.run(["get", token, "-o", back, "--json"]);
  expect(JSON.parse(got.stdout)).toEqual({ token, file: back, lengthBytes: message.length });
  expect(Buffer.compare(await readFile(back), message)).toBe(0);
  // nothing when the third was the first to answer
  if (got.stderr !== "") expect(got.stderr).toMatch(/provider-[12] sent wrong bytes/);
  const { exitCode, stdout } = await user.run(["repair", token]);
  expect(exitCode).toBe(0);
  expect(stdout.match(/provider-[12] +envelope copied/g)).toHaveLength(2);
});

test("a file of 0 bytes is put and got, and cannot be shared whole", async () => {
  const empty = await user.file("empty", new Uint8Array());
  const { exitCode, stdout } = await user.run(["put", empty, "--protocol", "2", "--route", "fanout", "--copies", "1"]);
  expect(exitCode).toBe(0);
  await user.expectBack(stdout.trim(), new Uint8Array());
  expect((await user.run(["put", "--whole", empty])).stderr).toContain("[EMPTY_MESSAGE]");
});

test("get -o writes a whole file of mode 0600, and replaces none unless it is told to", async () => {
  const message = bytesOf(70_000, 5);
  const token = await user.put(message);
  const folder = path.join(directory, "got");
  await mkdir(folder);
  const file = path.join(folder, "message");
  expect((await user.run(["get", token, "-o", file])).exitCode).toBe(0);
  expect(Buffer.compare(await readFile(file), message)).toBe(0);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await user.run(["get", token, "-o", file])).exitCode).toBe(2);
  expect(await intercloudJson(["get", token, "-o", file, "--force"], { home })).toEqual({
    ...{ token, file, lengthBytes: 70_000 },
  });
  expect(await readdir(folder)).toEqual(["message"]);
});

test("put --json, list and show say the same about a deposit", async () => {
  const file = await user.file("a name.txt", bytesOf(1_000, 6));
  const put = await intercloudJson(["put", file, "--copies", "2"], { home });
  expect(put).toMatchObject({
    home: "provider-1",
    providers: 5,
    threshold: 3,
    protocol: 3,
    route: "fanout",
    copies: 2,
  });
  const { deposits, missing } = await intercloudJson(["list"], { home });
  expect(missing).toEqual([]);
  expect(deposits.find((each: { token: string }) => each.token === put.token)).toMatchObject({
    ...{ name: "a name.txt", lengthBytes: 1_000, home: "provider-1", time: put.time },
  });
  const shown = await intercloudJson(["show", put.token], { home });
  expect(shown).toMatchObject({ ...put, name: "a name.txt", valid: true });
  expect(shown.holders.map((each: { holdsCiphertext: boolean }) => each.holdsCiphertext)).toEqual(
    [1, 2, 3, 4, 5].map((number) => number <= 2),
  );
  expect((await user.run(["list"])).stdout).toContain(put.token);
  expect((await user.run(["show", put.token])).stdout).toMatch(/answering +5 of 5 now/);
});

test("a proof verifies offline, with nothing but the file", async () => {
  const token = await user.put(bytesOf(1_000, 7));
  const proof = path.join(directory, "deposit.proof");
  expect((await user.run(["show", token, "--proof", proof])).exitCode).toBe(0);
  const env = { PATH: process.env["PATH"], HOME: path.join(directory, "nobody") };
  const verified = await intercloud(["verify", proof, "--json"], { env });
  expect({ exitCode: verified.exitCode, stderr: verified.stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(JSON.parse(verified.stdout)).toMatchObject({ valid: true, token, federation: null });

  const tampered = Buffer.from(await readFile(proof));
  tampered[tampered.length >> 1] = (tampered[tampered.length >> 1] ?? 0) ^ 1;
  const lie = await intercloud(["verify", await user.file("lie.proof", tampered)], { env });
  expect(lie.exitCode).toBe(5);
});

test("a reader that goes away ends it quietly", async () => {
  const token = await user.put(bytesOf(4 * MIB, 8));
  const line = `"${path.join(ROOT, "bin/intercloud")}" get ${token} --home "${home}" | head -c 10 | wc -c`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", line]);
  expect({ read: stdout.trim(), stderr }).toEqual({ read: "10", stderr: "" });
});

test("a program uses the same through the SDK, and stops a retrieval when it likes", async () => {
  const client = openClient({ home: await openHome(home) });
  afterAll(() => client.close());
  const message = bytesOf(8 * MIB, 9);
  const { tokenText } = await client.deposit(sourceOf(message, 100_000));
  const progress: number[] = [];
  const { message: got } = await client.retrieve(tokenText, {
    onProgress: ({ doneBytes }) => progress.push(doneBytes),
  });
  expect(Buffer.compare(await collect(got), message)).toBe(0);
  expect(progress.at(-1)).toBe(message.length);

  const controller = new AbortController();
  const stopped = await client.retrieve(tokenText, { signal: controller.signal });
  let readBytes = 0;
  const reading = async () => {
    for await (const chunk of stopped.message) {
      readBytes += chunk.length;
      controller.abort(new Error("enough"));
    }
  };
  await expect(reading()).rejects.toMatchObject({ code: "CANCELLED" });
  expect(readBytes).toBeLessThan(message.length);
});
