/** Refresh, move, repair and restore, from the command line, with real processes. */
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { bytesOf } from "../support/bytes.ts";
import { intercloudJson } from "./intercloud.ts";
import { flipBit, testnetUser } from "./user.ts";

const user = await testnetUser(5, 3);
const { home, net } = user;

test("refresh gives everybody a new share; the old files are gone", async () => {
  const message = bytesOf(100_000, 1);
  const token = await user.put(message);
  const before = await user.bodies(4);
  const outcome = await user.run(["refresh", token]);
  expect(outcome).toMatchObject({ exitCode: 0, stdout: `${token}\n`, stderr: "" });
  const after = await user.bodies(4);
  expect(after).toHaveLength(before.length);
  expect(after).not.toEqual(before);
  await user.expectBack(token, message);
  const { place, valid } = await intercloudJson(["verify", token], { home });
  expect({ valid, generation: place.generation }).toEqual({ valid: true, generation: 1 });
});

test("Protocol 2 stays readable in the home that refreshed it", async () => {
  const message = bytesOf(1_000, 2);
  const token = await user.put(message, "--protocol", "2");
  expect(await intercloudJson(["refresh", token], { home })).toMatchObject({ generation: 1, missing: [] });
  await user.expectBack(token, message);
  expect((await readdir(path.join(home, "shares"))).length).toBe(1);
});

test("move takes a deposit away from providers, and the old token still finds it", async () => {
  const message = bytesOf(50_000, 3);
  const token = await user.put(message, "--copies", "2");
  const flags = ["--without", "provider-1", "--without", "provider-2", "--threshold", "2", "--copies", "1"];
  const moved = await intercloudJson(["move", token, ...flags], { home });
  expect(moved).toMatchObject({ providers: ["provider-3", "provider-4", "provider-5"], threshold: 2, missing: [] });
  await user.testnet("kill", "provider-1", "provider-2", "provider-4");
  await user.expectBack(token, message);
  await user.expectBack(moved.token, message);
  await user.testnet("start", "provider-1", "provider-2", "provider-4");
  expect((await user.run(["show", token])).stdout).toMatch(/home +provider-3\n(.*\n)*needed +2 of 3 providers/);
});

test("all deposits of an owner are refreshed with one command", async () => {
  const { deposits } = await intercloudJson(["refresh", "--all"], { home });
  expect(deposits.length).toBeGreaterThanOrEqual(3);
  for (const { missing } of deposits) expect(missing).toEqual([]);
});

test("an old holder that was away when a deposit moved is told when it comes back", async () => {
  const message = bytesOf(3_000, 4);
  const token = await user.put(message, "--copies", "2");
  await user.testnet("kill", "provider-5");
  const outcome = await user.run(["move", token, "--without", "provider-5"]);
  expect(outcome.exitCode).toBe(0);
  expect(outcome.stderr).toMatch(/provider-5 .*old share.*\[OLD_SHARE_LEFT\]/);
  await user.testnet("start", "provider-5");
  await user.expectBack(token, message);
});

test("repair finds what a provider lost and makes it good", async () => {
  const message = bytesOf(200_000, 5);
  const token = await user.put(message);
  await flipBit(await user.ciphertextFile(2, token), 1_000);
  const bodies = path.join(net, "provider-5", "store/bodies");
  const corrections = (await readdir(bodies)).filter((name) => name.startsWith("correction-"));
  for (const name of corrections) await rm(path.join(bodies, name));
  const { providers } = await intercloudJson(["repair", token], { home });
  expect(providers.map((each: { repaired: object }) => each.repaired)).toMatchObject([
    { share: false, ciphertext: false },
    { share: false, ciphertext: true },
    { share: false, ciphertext: false },
    { share: false, ciphertext: false },
    { share: true, ciphertext: false },
  ]);
  await user.testnet("kill", "provider-1", "provider-3");
  await user.expectBack(token, message);
  const partly = await user.run(["repair", token]);
  expect(partly.exitCode).toBe(4);
  expect(partly.stderr).toContain("3 of 5 providers");
  await user.testnet("start", "provider-1", "provider-3");
});

test("a provider that lost its disk gets everything back with one command", async () => {
  const message = bytesOf(5_000, 6);
  const token = await user.put(message, "--copies", "5");
  const directory = path.join(net, "provider-2");
  const running = await user.run(["node", "restore", "--dir", directory]);
  expect(running).toMatchObject({ exitCode: 1, stdout: "" });
  expect(running.stderr).toContain("[STORE_LOCKED]");
  await user.testnet("kill", "provider-2");
  await rm(path.join(directory, "store"), { recursive: true });
  const restored = await intercloudJson(["node", "restore", "--dir", directory], {});
  expect(restored).toMatchObject({ good: 0, failed: [], missing: [] });
  expect(restored.restored).toBeGreaterThan(0);
  await user.testnet("start", "provider-2");
  await user.testnet("kill", "provider-1", "provider-4");
  await user.expectBack(token, message);
  await user.testnet("start", "provider-1", "provider-4");
});

test.each([
  [["refresh"], 2, "USAGE"],
  [["refresh", "--all", "ict1x"], 2, "USAGE"],
  [["refresh", "ict1x"], 2, "BAD_TOKEN"],
  [["move", "ict1x"], 2, "USAGE"],
  [["move", "--all", "--to", "nobody"], 2, "UNKNOWN_PROVIDER_NAME"],
  [["move", "--all", "--threshold", "6"], 2, "WRONG_NUMBERS"],
  [["repair", "ict1x"], 2, "BAD_TOKEN"],
  [["node", "restore"], 2, "USAGE"],
])("%s: wrong use is said", async (args, exitCode, code) => {
  const outcome = await user.run(args);
  expect(outcome).toMatchObject({ exitCode, stdout: "" });
  expect(outcome.stderr).toContain(`[${code}]`);
});

test("another identity can change nothing", async () => {
  const token = await user.put(bytesOf(100, 7));
  const other = path.join(user.directory, "other-home");
  await user.run(["id", "new"], { home: other });
  await user.copyFederation(other);
  for (const command of ["refresh", "repair"]) {
    const outcome = await user.run([command, token], { home: other });
    expect({ command, exitCode: outcome.exitCode }).toEqual({ command, exitCode: 3 });
  }
  const moving = await user.run(["move", token, "--threshold", "2"], { home: other });
  expect(moving.exitCode).toBe(3);
});
