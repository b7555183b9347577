/** Many messages in one command: files and JSON lines, each with a token that works like any other. */
import { expect, test } from "vitest";
import { bytesOf } from "../support/bytes.ts";
import { testnetUser } from "./user.ts";

const user = await testnetUser(4, 2);

const linesOf = (stdout: string) => stdout.split("\n").filter((line) => line !== "");

test("files: short ones together, one that is empty and one that is long by themselves, in the order in which they were named", async () => {
  const messages = new Map([
    ["one.txt", bytesOf(10, 1)],
    ["long.bin", bytesOf(200_000, 2)],
    ["empty", new Uint8Array()],
    ["two.txt", bytesOf(5_000, 3)],
  ]);
  const files = await Promise.all([...messages].map(([name, bytes]) => user.file(name, bytes)));
  const { exitCode, stdout, stderr } = await user.run(["put", "--batch", ...files]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringMatching(/2 of 4 .*\[NOT_IN_BATCH\]\n$/) });
  const lines = linesOf(stdout).map((line) => line.split("\t"));
  expect(lines.map(([, name]) => name)).toEqual([...messages.keys()]);
  await user.testnet("kill", "provider-1", "provider-4");
  for (const [token, name] of lines) await user.expectBack(token!, messages.get(name!)!);
  await user.testnet("start", "provider-1", "provider-4");
  const { stdout: listed } = await user.run(["list"]);
  for (const name of messages.keys()) expect(listed).toContain(name);
});

test("JSON lines: a token each, one is destroyed and the others stay, also when every provider was killed", async () => {
  const texts = Array.from({ length: 40 }, (_, i) => ({ name: `key-${i}`, text: `secret ${i}` }));
  const stdin = Buffer.from(texts.map((line) => JSON.stringify(line)).join("\n"));
  const { exitCode, stdout } = await user.run(["--json", "put", "--batch", "-"], { stdin });
  expect(exitCode).toBe(0);
  const lines = linesOf(stdout).map((line) => JSON.parse(line) as { name: string; token: string; form: string });
  expect(lines.map(({ name }) => name)).toEqual(texts.map(({ name }) => name));
  expect(new Set(lines.map(({ token }) => token)).size).toBe(40);
  const [first, second] = lines;
  expect((await user.run(["destroy", "--yes", first!.token])).exitCode).toBe(0);
  const all = [1, 2, 3, 4].map((number) => `provider-${number}`);
  await user.testnet("kill", ...all);
  await user.testnet("start", ...all);
  expect((await user.run(["get", first!.token])).exitCode).toBe(6);
  expect((await user.run(["verify", second!.token])).stdout).toContain("valid");
  expect((await user.run(["refresh", second!.token])).exitCode).toBe(0);
  await user.expectBack(second!.token, Buffer.from("secret 1"));
  await user.expectBack(lines[39]!.token, Buffer.from("secret 39"));
});

test("what is wrong is said with exit code 2, and nothing is deposited", async () => {
  const before = (await user.run(["list"])).stdout;
  for (const [args, stdin, said] of [
    [["-"], '{"text":"a"}\n{"txt":"b"}\n', /line 2 .*nothing was deposited.*\[BAD_LINE\]/],
    [["--route", "chain", "-"], '{"text":"a"}', /fanout.*\[WRONG_FORM\]/],
    [["-", "x"], "", /\[USAGE\]/],
    [["not-there"], "", /\[NO_FILE\]/],
  ] as const) {
    const outcome = await user.run(["put", "--batch", ...args], { stdin });
    expect({ exitCode: outcome.exitCode, stdout: outcome.stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(outcome.stderr).toMatch(said);
  }
  expect((await user.run(["list"])).stdout).toBe(before);
});
