import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeKeys } from "../../../node/keys.ts";
import { currentDescriptor } from "../../../node/self.ts";
import { checkDescriptor, signDescriptor } from "../../../protocols/identity/descriptor.ts";
import { readDescriptor, writeDescriptor } from "../../../runtime/descriptor-file.ts";

const keys = nodeKeys(new Uint8Array(32).fill(7));
const A = ["/ip4/127.0.0.1/tcp/1"];
const B = ["/ip4/127.0.0.1/tcp/2"];
const member = signDescriptor(
  {
    ...{ name: "n", kind: "provider", duties: ["custody"], addresses: A, issuedAtMs: 1_000 },
    agreementKey: keys.agreementKey.publicKey,
  },
  keys.signer,
);
let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  file = path.join(directory, "descriptor.json");
  await writeDescriptor(file, member);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const describe = (listening: readonly string[], nowMs: number, announce: readonly string[] = []) =>
  currentDescriptor({ file, config: { announce, duties: ["custody"] }, keys, member, listening, nowMs });

test("what is still true is not said again", async () => {
  expect(await describe(A, 5_000)).toEqual(member);
});

test("a new address makes a newer descriptor, and so does the way back", async () => {
  const there = await describe(B, 5_000);
  expect(checkDescriptor(there)).toMatchObject({ addresses: B, issuedAtMs: 5_000, peer: member.peer, name: "n" });
  expect(await readDescriptor(file)).toEqual(there);
  expect(await describe(B, 6_000)).toEqual(there);
  // The federation still has the first one; the others have the second, and would not take the first back.
  const back = await describe(A, 4_000);
  expect(back.addresses).toEqual(A);
  expect(back.issuedAtMs).toBeGreaterThan(there.issuedAtMs);
});

test("what is announced counts, not what is listened on", async () => {
  expect((await describe(B, 5_000, A)).addresses).toEqual(A);
});

test("a spoilt file is replaced", async () => {
  await writeFile(file, "{");
  expect(await describe(A, 5_000)).toEqual(member);
  expect((await describe(B, 5_000)).issuedAtMs).toBe(5_000);
  expect((await readDescriptor(file)).addresses).toEqual(B);
});
