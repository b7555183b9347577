/** Granting, revoking and destroying from the command line, on real nodes. */
import { copyFile, mkdir, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { bytesOf } from "../support/bytes.ts";
import { intercloud, intercloudJson, type Outcome } from "./intercloud.ts";
import { flipBit, testnetUser } from "./user.ts";

const user = await testnetUser(5, 3);
const { directory, home } = user;
const message = bytesOf(70_000, 1);
const bob = await newHome("bob");
const carol = await newHome("carol");
const { identity: owner } = await intercloudJson(["id", "show"], { home });

interface TestHome {
  readonly home: string;
  readonly identity: string;
}

/** Somebody else of the same federation. */
async function newHome(name: string): Promise<TestHome> {
  const folder = path.join(directory, name);
  const { identity } = await intercloudJson(["id", "new"], { home: folder });
  await copyFile(path.join(home, "federation.json"), path.join(folder, "federation.json"));
  return { home: folder, identity };
}

function expectFailure(outcome: Outcome, exitCode: number, ...words: readonly (string | RegExp)[]): void {
  expect({ ...outcome, bytes: undefined }).toMatchObject({ exitCode, stdout: "" });
  for (const word of words) expect(outcome.stderr).toMatch(word);
  expect(outcome.stderr).not.toMatch(/\n +at /);
}

async function expectGets(token: string, { home: as }: TestHome): Promise<void> {
  const got = await user.run(["get", token], { home: as });
  expect({ exitCode: got.exitCode, stderr: got.stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(Buffer.compare(got.bytes, message)).toBe(0);
}

async function allBodies(): Promise<readonly string[]> {
  return (await Promise.all([1, 2, 3, 4, 5].map((number) => user.bodies(number)))).flat();
}

test("a grant lets somebody else get a deposit, until it is revoked", async () => {
  const token = await user.put(message);
  expectFailure(await user.run(["get", token], bob), 3, "NOT_THE_OWNER", "ask the owner for a grant");

  const granted = await user.run(["grant", token, bob.identity, "--expires", "2d"]);
  expect(granted).toMatchObject({ exitCode: 0, stderr: "" });
  expect(granted.stdout).toMatch(/^key:\S+ may get this deposit and see its proof until \S+, at 5 of 5 providers\n$/);
  await expectGets(token, bob);
  expectFailure(await user.run(["get", token], carol), 3, "NOT_THE_OWNER");

  const json = await intercloudJson(["grant", token, carol.identity, "--purpose", "show"], { home });
  expect(json).toEqual({
    ...{ token, identity: carol.identity, purposes: ["show"], expires: null, version: 2 },
    ...{ providers: 5, reached: 5, needed: 3, missing: [] },
  });
  const shown = await intercloudJson(["show", token], { home });
  expect(shown.grant).toBe(null);
  expect([...shown.grants].sort((a, b) => a.purposes.length - b.purposes.length)).toEqual([
    { identity: carol.identity, purposes: ["show"], expires: null },
    { identity: bob.identity, purposes: ["retrieve", "show"], expires: expect.stringMatching(/^\d{4}-.+Z$/) },
  ]);
  expect((await user.run(["show", token])).stdout).toMatch(new RegExp(`${carol.identity} +show +revoked`));

  const { deposits } = await intercloudJson(["list"], bob);
  expect(deposits).toEqual([
    expect.objectContaining({ token, owner, grant: { purposes: ["retrieve", "show"], expires: expect.any(String) } }),
  ]);
  expect((await user.run(["list"], bob)).stdout).toContain(owner);
  expect((await intercloudJson(["show", token], bob)).grants).toBe(null);
  expect((await user.run(["show", token], bob)).stdout).toMatch(/granted +retrieve, show, until/);
  expect((await user.run(["verify", token], carol)).exitCode).toBe(0);
  expectFailure(await user.run(["get", token], carol), 3, "GRANT_PURPOSE");

  for (const identity of [bob.identity, carol.identity]) {
    const revoked = await user.run(["revoke", token, identity]);
    expect(revoked).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/ at 5 of 5 providers\n$/) });
  }
  expectFailure(await user.run(["revoke", token, bob.identity]), 6, "NO_SUCH_GRANT");
  for (const { home: as } of [bob, carol]) {
    for (const command of ["get", "show", "verify"]) {
      expectFailure(await user.run([command, token], { home: as }), 3, "NOT_THE_OWNER");
    }
    expect((await intercloudJson(["list"], { home: as })).deposits).toEqual([]);
  }
  await user.expectBack(token, message);
});

test("a grant that has expired is told apart from one that never was", async () => {
  const token = await user.put(message);
  await intercloudJson(["grant", token, bob.identity, "--expires", "8s"], { home });
  await expectGets(token, bob);
  const exitCode = async () => (await user.run(["get", token], bob)).exitCode;
  await expect.poll(exitCode, { timeout: 60_000, interval: 1_000 }).toBe(3);
  expectFailure(await user.run(["get", token], bob), 3, "GRANT_EXPIRED", "ask its owner for a new one");
  expect((await user.run(["show", token])).stdout).toContain("(expired)");
});

test("only the owner grants, revokes and destroys, and nobody by the token alone", async () => {
  const token = await user.put(message);
  await intercloudJson(["grant", token, bob.identity], { home });
  for (const [{ home: as, identity: self }, other] of [[bob, carol] as const, [carol, bob] as const]) {
    expectFailure(await user.run(["grant", token, self], { home: as }), 3, "GRANT_TO_SELF");
    expectFailure(await user.run(["grant", token, other.identity], { home: as }), 3, "NOT_THE_OWNER");
    expectFailure(await user.run(["revoke", token, bob.identity], { home: as }), 3, "NOT_THE_OWNER");
    expectFailure(await user.run(["destroy", token, "--yes"], { home: as }), 3, "NOT_THE_OWNER");
  }
  await expectGets(token, bob);
});

test("a deposit of Protocol 2 is not granted, and the reason is told", async () => {
  const token = await user.put(message, "--protocol", "2");
  expectFailure(await user.run(["grant", token, bob.identity]), 3, "NOT_GRANTABLE", "Protocol 3");
});

test("grants and revokes with providers down: enough is enough, and too few is exit code 4", async () => {
  const token = await user.put(message);
  await user.testnet("kill", "provider-1", "provider-2");
  const granted = await user.run(["grant", token, bob.identity]);
  expect(granted).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("at 3 of 5 providers") });
  expect(granted.stderr).toMatch(/provider-1 and provider-2 did not take it.+\[PROVIDERS_MISSING\]/);
  await user.testnet("start", "provider-1", "provider-2");
  await expectGets(token, bob);

  await user.testnet("kill", "provider-3", "provider-4");
  const revoked = await intercloudJson(["revoke", token, bob.identity], { home });
  expect(revoked).toMatchObject({ reached: 3, needed: 3, missing: ["provider-3", "provider-4"] });
  await user.testnet("kill", "provider-5");
  expectFailure(await user.run(["grant", token, bob.identity]), 4, "2 of 3");
  expectFailure(await user.run(["revoke", token, bob.identity]), 4, "2 of 3");
  await user.testnet("start", "provider-3", "provider-4", "provider-5");
  // two that were away have not heard of it: they are too few, and the owner's show tells them
  expectFailure(await user.run(["get", token], bob), 3, "NOT_THE_OWNER");
  expect((await user.run(["show", token])).exitCode).toBe(0);
  expectFailure(await user.run(["show", token], bob), 3, "NOT_THE_OWNER");
});

test("destroy removes a deposit everywhere, with receipts that verify offline", async () => {
  const before = await allBodies();
  const file = await user.file("a letter", message);
  const token = (await user.run(["put", "--whole", file])).stdout.trim();
  await intercloudJson(["grant", token, bob.identity], { home });
  expectFailure(await user.run(["destroy", token]), 2, "--yes");
  expectFailure(await user.run(["destroy", "-"], { stdin: token }), 2, "--yes");
  await user.expectBack(token, message);

  const receipts = path.join(directory, "receipts");
  const destroyed = await user.run(["destroy", token, "--yes", "--receipts", receipts]);
  expect(destroyed).toMatchObject({
    ...{ exitCode: 0, stderr: "", stdout: "destroyed at 5 of 5 providers; the message is unrecoverable\n" },
  });
  expect((await stat(receipts)).mode & 0o777).toBe(0o600);
  expect(await allBodies()).toEqual(before);
  const notes = await readdir(path.join(home, "deposits"));
  expect(notes).not.toContain(`${token}.json`);

  for (const command of ["get", "show", "verify", "trace"]) {
    expectFailure(await user.run([command, token]), 6, /this deposit was destroyed at \d{4}-\S+ \[DESTROYED\]/);
    expectFailure(await user.run([command, token], bob), 6, "NO_SUCH_DEPOSIT");
  }
  expectFailure(await user.run(["grant", token, carol.identity]), 6, "DESTROYED");
  expect(
    (await intercloudJson(["list"], { home })).deposits.map((each: { token: string }) => each.token),
  ).not.toContain(token);

  const env = { PATH: process.env["PATH"], HOME: path.join(directory, "nobody") };
  const verified = await intercloud(["verify", receipts, "--json"], { env });
  expect({ exitCode: verified.exitCode, stderr: verified.stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(JSON.parse(verified.stdout)).toMatchObject({
    ...{ valid: true, token, owner, destroyed: 5, needed: 3, unrecoverable: true, missing: [], federation: null },
  });
  expect((await user.run(["verify", receipts])).stdout).toMatch(/provider-5 .* share +valid/);

  // the same receipts again, also after a provider was killed
  await user.testnet("kill", "provider-2");
  await user.testnet("start", "provider-2");
  const again = path.join(directory, "receipts-again");
  expect((await user.run(["destroy", token, "--yes", "--receipts", again])).exitCode).toBe(0);
  expect(Buffer.compare(await readFile(again), await readFile(receipts))).toBe(0);

  await flipBit(again, (await stat(again)).size - 200);
  expect((await intercloud(["verify", again], { env })).exitCode).toBe(5);
});

test("with providers down destroy says how many did it and how many are needed, and goes on when they are back", async () => {
  const token = await user.put(message, "--protocol", "2");
  const shares = path.join(home, "shares");
  const tokenId = await tokenIdOf(token);
  const sharesOfIt = async () => (await readdir(shares)).filter((file) => file.startsWith(tokenId));
  expect(await sharesOfIt()).toHaveLength(1);
  await user.testnet("kill", "provider-1", "provider-2", "provider-3");
  const receipts = path.join(directory, "some-receipts");
  const partly = await user.run(["destroy", token, "--yes", "--receipts", receipts]);
  expectFailure(
    partly,
    4,
    "destroyed at 2 of 5 providers; 3 are needed",
    "provider-1, provider-2 and provider-3 are up",
  );
  expect(await sharesOfIt()).toEqual([]);
  expect(await intercloudJson(["verify", receipts], { home })).toMatchObject({
    ...{ valid: true, destroyed: 2, unrecoverable: false, missing: ["provider-1", "provider-2", "provider-3"] },
  });
  expectFailure(await user.run(["get", token]), 6, "DESTROYED", "at 2 of 5 providers");
  await user.testnet("start", "provider-1", "provider-2", "provider-3");
  const { holders } = await intercloudJson(["show", token], { home });
  expect(holders.map((each: { destroyed: string | null }) => each.destroyed === null)).toEqual([
    ...[true, true, true],
    ...[false, false],
  ]);
  const report = await intercloudJson(["destroy", token, "--yes"], { home });
  expect(report).toMatchObject({ destroyed: 5, unrecoverable: true, missing: [] });
  expectFailure(await user.run(["get", token]), 6, "DESTROYED");

  await user.testnet("kill", "provider-1", "provider-2", "provider-3", "provider-4", "provider-5");
  expectFailure(await user.run(["destroy", token, "--yes"]), 4, "0 of 1");
  await user.testnet("start", "provider-1", "provider-2", "provider-3", "provider-4", "provider-5");
});

async function tokenIdOf(token: string): Promise<string> {
  return (await intercloudJson(["show", token], { home })).tokenId;
}

test("providers that are killed while they destroy finish it when they start", async () => {
  const before = await allBodies();
  const token = await user.put(bytesOf(8 * 1024 * 1024, 2));
  const names = ["provider-1", "provider-2", "provider-3", "provider-4", "provider-5"];
  let killed: Promise<void> | undefined;
  const destroying = user.run(["destroy", token, "--yes"], {
    onStart() {
      // somewhere between the request and the last answer, wherever that is
      killed = new Promise((resolve) => setTimeout(resolve, 350)).then(() => user.testnet("kill", ...names));
    },
  });
  expect([0, 4]).toContain((await destroying).exitCode);
  await killed;
  await user.testnet("start", ...names);
  const report = await intercloudJson(["destroy", token, "--yes"], { home });
  expect(report).toMatchObject({ valid: true, destroyed: 5, unrecoverable: true });
  expect(await allBodies()).toEqual(before);
});

test("what is wrong in the line is said before anything happens", async () => {
  const token = await user.put(message);
  const nowhere = path.join(directory, "no", "where");
  await mkdir(path.join(directory, "folder"), { recursive: true });
  expectFailure(await user.run(["grant", token, "bob"]), 3, "BAD_IDENTITY");
  expectFailure(await user.run(["grant", token, owner]), 3, "GRANT_TO_SELF");
  expectFailure(await user.run(["grant", token, bob.identity, "--expires", "2020-01-01"]), 3, "EXPIRY_PAST");
  expectFailure(await user.run(["grant", token, bob.identity, "--expires", "tomorrow"]), 2, "USAGE");
  expectFailure(await user.run(["grant", token, bob.identity, "--purpose", "own"]), 2, "USAGE");
  expectFailure(await user.run(["grant", token.slice(0, -1), bob.identity]), 2, "BAD_TOKEN");
  expectFailure(await user.run(["revoke", token, bob.identity]), 6, "NO_SUCH_GRANT");
  expectFailure(await user.run(["destroy", token, "--yes", "--receipts", nowhere]), 2, "NO_DIRECTORY");
  expectFailure(await user.run(["destroy", token, "--yes", "--receipts", path.join(directory, "folder")]), 2);
  await user.expectBack(token, message);
});
