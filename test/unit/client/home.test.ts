import { randomBytes } from "node:crypto";
import { copyFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { createHome, findFederation, openHome } from "../../../client/home.ts";
import { identityOfKey } from "../../../protocols/identity/identity.ts";
import { writeFederation } from "../../../runtime/federation.ts";
import { bytesOf } from "../../support/bytes.ts";
import { testFederation } from "./federation.ts";
import { filesBelow, testFolder } from "./folder.ts";

const folder = await testFolder();
const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const federation = testFederation();

async function newHome(name: string, settings = {}, passphrase?: string): Promise<string> {
  const directory = path.join(folder, name);
  await createHome({ directory, federation, settings, entropy, passphrase });
  return directory;
}

test("a new home opens as it was made, and only its owner may look into it", async () => {
  const directory = path.join(folder, "new");
  const identity = await createHome({ directory, federation, settings: { threshold: 4 }, entropy });
  const home = await openHome(directory, { entropy });
  expect(identityOfKey(home.identityKey.publicKey)).toBe(identity);
  expect(home.federation).toEqual(federation);
  expect(home.settings).toMatchObject({ providers: 5, threshold: 4, copies: 3, protocol: 3, route: undefined });
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
  expect((await stat(path.join(directory, "identity.json"))).mode & 0o777).toBe(0o600);
});

test("defaults follow the number of providers", async () => {
  const home = await openHome(await newHome("few", { providers: 2 }), { entropy });
  expect(home.settings).toMatchObject({ providers: 2, threshold: 2, copies: 2 });
});

test("a second identity never replaces the first", async () => {
  const directory = await newHome("twice");
  const before = await filesBelow(directory);
  await expect(createHome({ directory, federation, entropy })).rejects.toMatchObject({ code: "KEY_FILE_EXISTS" });
  expect(await filesBelow(directory)).toEqual(before);
});

test("a sealed home opens with its passphrase only", async () => {
  const directory = await newHome("sealed", {}, "correct horse");
  await expect(openHome(directory, { entropy })).rejects.toMatchObject({
    code: "PASSPHRASE_NEEDED",
    status: "refused",
  });
  await expect(openHome(directory, { entropy, passphrase: "wrong" })).rejects.toMatchObject({
    code: "WRONG_PASSPHRASE",
  });
  expect((await openHome(directory, { entropy, passphrase: "correct horse" })).federation).toEqual(federation);
});

test("what is missing is named, with what to do", async () => {
  const nowhere = path.join(folder, "nowhere");
  await expect(openHome(nowhere, { entropy })).rejects.toMatchObject({
    ...{ code: "NO_HOME", status: "refused", message: expect.stringMatching(/intercloud id new --home .*nowhere/) },
  });
  expect(await findFederation(nowhere)).toBeUndefined();
  const directory = await newHome("no-federation");
  await rm(path.join(directory, "federation.json"));
  await expect(openHome(directory, { entropy })).rejects.toMatchObject({
    ...{ code: "NO_FEDERATION", message: expect.stringContaining(path.join(directory, "federation.json")) },
  });
  expect(await findFederation(directory)).toBeUndefined();
});

test("a misspelt setting and a wrong value are wrong use", async () => {
  const directory = await newHome("typo");
  for (const [text, word] of [
    ['{"treshold": 3}', "treshold"],
    ['{"threshold": 1}', "threshold"],
    ["{", "JSON"],
  ] as const) {
    await writeFile(path.join(directory, "config.json"), text);
    await expect(openHome(directory, { entropy })).rejects.toMatchObject({
      ...{ status: "bad-request", message: expect.stringContaining(word) },
    });
  }
});

test("a federation file of another founder is not taken for the one that the home was made with", async () => {
  const directory = await newHome("exchanged");
  const file = path.join(directory, "federation.json");
  await writeFederation(file, testFederation());
  await expect(openHome(directory, { entropy })).rejects.toMatchObject({ code: "FEDERATION_BAD_SIGNATURE" });
});

test("shares are kept sealed, each for its own deposit", async () => {
  const directory = await newHome("shares");
  const { shares } = await openHome(directory, { entropy });
  const [tokenId, other, share, dealId] = [bytesOf(32, 1), bytesOf(32, 2), bytesOf(32, 3), bytesOf(16, 4)];
  await shares.keep(tokenId, dealId, share);
  expect(await shares.find(tokenId, dealId)).toEqual(share);
  expect(await shares.find(other, dealId)).toBeUndefined();
  for (const bytes of (await filesBelow(directory)).values()) expect(bytes.includes(share)).toBe(false);

  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const fileOf = (id: Uint8Array) => path.join(directory, "shares", `${hex(id)}-${hex(dealId)}.share`);
  await copyFile(fileOf(tokenId), fileOf(other));
  await expect(shares.find(other, dealId)).rejects.toMatchObject({ code: "SHARE_DAMAGED", status: "damaged" });
  const { shares: foreign } = await openHome(await newHome("foreign"), { entropy });
  await foreign.keep(other, dealId, share);
  await copyFile(path.join(folder, "foreign/shares", path.basename(fileOf(other))), fileOf(other));
  await expect(shares.find(other, dealId)).rejects.toMatchObject({ code: "SHARE_DAMAGED" });

  await shares.remove(tokenId, dealId);
  expect(await shares.find(tokenId, dealId)).toBeUndefined();
});

test("a note that cannot be read is no note", async () => {
  const directory = await newHome("notes");
  const { notes } = await openHome(directory, { entropy });
  const note = { token: "ict1abc", name: "a file", time: "2026-01-01T00:00:00.000Z" };
  await notes.write(note);
  expect(await notes.find("ict1abc")).toEqual(note);
  await writeFile(path.join(directory, "deposits/ict1abc.json"), "{");
  expect(await notes.find("ict1abc")).toBeUndefined();
});
