/** The SDK over a network in memory: the real protocol code, without sockets. */
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { createClient } from "../../../client/client.ts";
import type { Client, DepositPhase } from "../../../client/client-api.ts";
import { withDefaults } from "../../../client/deposit-plan.ts";
import { reportReceipts } from "../../../client/receipts-report.ts";
import { memoryShares, type ShareStore } from "../../../client/shares.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { createWorld } from "../../support/custody-world.ts";
import { testFolder } from "./folder.ts";

const folder = await testFolder();
const world = await createWorld({ providers: 5 });
const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const spoolDirectory = path.join(folder, "tmp");
const owner = newSigner(entropy);
const clients: Client[] = [];

function newClient(identityKey: Signer = owner, shares: ShareStore = memoryShares()): Client {
  const client = createClient({
    ...{ identityKey, shares, spoolDirectory, entropy, clock: systemClock },
    directory: world.user.directory,
    connect: async () => world.network.transport(peerNameOf(newSigner(entropy).publicKey), { clock: systemClock }),
    settings: withDefaults({ threshold: 3 }, 5),
  });
  clients.push(client);
  return client;
}

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await world.close();
  expect(world.faults).toEqual([]);
});

async function got(client: Client, tokenText: string): Promise<Uint8Array> {
  return await collect((await client.retrieve(tokenText)).message);
}

test.each([
  ["bytes", () => bytesOf(300_000, 1)],
  ["a stream of unknown length", () => sourceOf(bytesOf(300_000, 1), 10_000)],
  [
    "a source that can be read twice",
    () => ({ lengthBytes: 300_000, open: () => sourceOf(bytesOf(300_000, 1), 7_000) }),
  ],
])("%s are deposited and come back, in both forms", async (_, source) => {
  const client = newClient();
  for (const form of ["whole", undefined] as const) {
    const progress: DepositPhase[] = [];
    const options = { form, onProgress: (phase: DepositPhase) => void progress.push(phase) };
    const { tokenText, token, envelope } = await client.deposit(source(), options);
    const isWhole = form === "whole";
    expect(token).toMatchObject({ providers: 5, threshold: 3, copies: 3, owner: client.identity });
    expect([token.policy.form, token.lengthBytes]).toEqual(isWhole ? ["whole", 300_000] : ["envelope", 32]);
    expect(envelope === null).toBe(isWhole);
    const phases = progress.map(({ phase }) => phase);
    expect(phases).toEqual(expect.arrayContaining([...(isWhole ? ["hashing"] : []), "pouring", "sealing"]));
    const poured = progress.filter(({ phase }) => phase === "pouring").at(-1)?.doneBytes ?? 0;
    if (!isWhole) expect(poured).toBe(300_000);
    const got: number[] = [];
    const { message } = await client.retrieve(tokenText, { onProgress: ({ doneBytes }) => void got.push(doneBytes) });
    expect(Buffer.compare(await collect(message), bytesOf(300_000, 1))).toBe(0);
    expect(got.at(-1)).toBe(300_000);
  }
  expect(await readdir(spoolDirectory).catch(() => [])).toEqual([]);
});

test("the user's share of Protocol 2 is kept before the deposit exists, and needed to read it", async () => {
  const shares = memoryShares();
  const client = newClient(owner, shares);
  const { tokenText } = await client.deposit(bytesOf(1_000, 2), { protocol: 2 });
  expect(Buffer.compare(await got(client, tokenText), bytesOf(1_000, 2))).toBe(0);
  expect(await errorOf(got(newClient(), tokenText))).toMatchObject({ code: "NO_USER_SHARE" });
});

test("a share that cannot be kept ends the deposit, and nothing of it is left anywhere", async () => {
  const kept = memoryShares();
  const full = { ...kept, keep: () => Promise.reject(new IntercloudError("DISK_FULL", "full", "no room")) };
  const client = newClient(newSigner(entropy), full);
  expect(await errorOf(client.deposit(bytesOf(1_000, 2), { protocol: 2 }))).toMatchObject({ code: "DISK_FULL" });
  expect((await client.list()).deposits).toEqual([]);
});

test("a deposit that fails after its share was kept forgets the share", async () => {
  const kept: [Uint8Array, Uint8Array][] = [];
  const shares = memoryShares();
  const controller = new AbortController();
  const watched: ShareStore = {
    ...shares,
    async keep(tokenId, dealId, share) {
      await shares.keep(tokenId, dealId, share);
      kept.push([tokenId, dealId]);
      controller.abort(new Error("stopped"));
    },
  };
  const client = newClient(newSigner(entropy), watched);
  const failed = client.deposit(bytesOf(1_000, 2), { protocol: 2, signal: controller.signal });
  expect(await errorOf(failed)).toMatchObject({ code: "CANCELLED" });
  expect(kept).toHaveLength(1);
  expect(await shares.find(...kept[0]!)).toBeUndefined();
  expect((await client.list()).deposits).toEqual([]);
});

test("deposits are listed for their owner only, and shown with who answers", async () => {
  const mine = newClient(newSigner(entropy));
  const { tokenText, proof } = await mine.deposit(bytesOf(10, 3), { providers: 4, copies: 2 });
  expect((await mine.list()).deposits.map((each) => each.tokenText)).toEqual([tokenText]);
  const stranger = newClient(newSigner(entropy));
  expect((await stranger.list()).deposits).toEqual([]);
  expect(await errorOf(stranger.retrieve(tokenText))).toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });

  world.kill(2);
  const shown = await mine.show(tokenText);
  world.revive(2);
  expect(shown.providers.map(({ name, answers, holdsCiphertext }) => [name, answers, holdsCiphertext])).toEqual([
    ["provider-1", true, true],
    ["provider-2", false, false],
    ["provider-3", true, false],
    ["provider-4", true, false],
  ]);
  expect(Buffer.compare(shown.proof, proof)).toBe(0);
  expect(shown.report).toMatchObject({ valid: true, token: tokenText, federation: { valid: true } });
  expect(await mine.verify(tokenText)).toEqual(shown.report);
  expect(await newClient(newSigner(entropy)).verify(proof)).toEqual(shown.report);
});

test("the owner lets somebody else read a deposit, sees whom, and takes it back", async () => {
  const [mine, bob] = [newClient(newSigner(entropy)), newClient(newSigner(entropy))];
  const { tokenText, token, envelope } = await mine.deposit(bytesOf(1_000, 4));
  const expiresAtMs = Date.now() + 60_000;
  expect(await mine.grant(tokenText, bob.identity, { purposes: ["show"], expiresAtMs })).toMatchObject({
    ...{ missing: [], needed: 3, list: { version: 1 } },
  });
  expect(await errorOf(bob.retrieve(tokenText).then(({ message }) => collect(message)))).toMatchObject({
    code: "GRANT_PURPOSE",
  });
  await mine.grant(tokenText, bob.identity);
  expect(Buffer.compare(await got(bob, tokenText), bytesOf(1_000, 4))).toBe(0);
  const terms = { purposes: ["retrieve", "show"], expiresAtMs: null };
  expect(await mine.show(tokenText)).toMatchObject({ grants: [{ identity: bob.identity, ...terms }], grant: null });
  expect(await bob.show(tokenText)).toMatchObject({ grants: null, grant: terms, report: { valid: true } });
  expect((await bob.list()).deposits).toEqual([
    { tokenText, token, envelopeBytes: envelope?.lengthBytes, grant: terms },
  ]);
  expect(await bob.verify(tokenText)).toMatchObject({ valid: true, owner: mine.identity });
  await mine.revoke(tokenText, bob.identity);
  expect(await errorOf(bob.retrieve(tokenText))).toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  expect(await mine.show(tokenText)).toMatchObject({ grants: [] });
});

test("the owner's show brings the newest list to a provider that missed it", async () => {
  const [mine, bob] = [newClient(newSigner(entropy)), newClient(newSigner(entropy))];
  const { tokenText } = await mine.deposit(bytesOf(1_000, 4));
  await mine.grant(tokenText, bob.identity);
  world.kill(1, 2);
  expect((await mine.revoke(tokenText, bob.identity)).missing).toHaveLength(2);
  world.revive(1, 2);
  expect((await bob.show(tokenText)).report.valid).toBe(true);
  await mine.show(tokenText);
  expect(await errorOf(bob.show(tokenText))).toMatchObject({ code: "NOT_THE_OWNER" });
});

test("a deposit is destroyed with receipts, and the user's own share with it", async () => {
  const kept = new Set<string>();
  const inner = memoryShares();
  const shares: ShareStore = {
    ...inner,
    keep: async (tokenId, dealId, share) => {
      kept.add(Buffer.from(tokenId).toString("hex"));
      await inner.keep(tokenId, dealId, share);
    },
    removeAll: async (tokenId) => {
      kept.delete(Buffer.from(tokenId).toString("hex"));
      await inner.removeAll(tokenId);
    },
  };
  const mine = newClient(newSigner(entropy), shares);
  const { tokenText } = await mine.deposit(bytesOf(1_000, 2), { protocol: 2 });
  expect(kept.size).toBe(1);
  world.kill(1, 2, 3, 4, 5);
  expect(await errorOf(mine.destroy(tokenText))).toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
  expect(kept.size).toBe(1);
  world.revive(1, 2, 3, 4, 5);
  world.kill(3, 4, 5);
  const partly = await mine.destroy(tokenText);
  expect(partly.report).toMatchObject({
    ...{ valid: true, protocol: 2, destroyed: 2, needed: 3, unrecoverable: false },
    missing: ["provider-3", "provider-4", "provider-5"],
  });
  expect(kept.size).toBe(0);
  world.revive(3, 4, 5);
  const shown = await mine.show(tokenText);
  expect(shown.providers.map(({ answers, destroyedAtMs }) => [answers, destroyedAtMs === null])).toEqual([
    ...[false, false].map((answers) => [answers, false]),
    ...[true, true, true].map((answers) => [answers, true]),
  ]);
  const whole = await mine.destroy(tokenText);
  expect(whole.report).toMatchObject({ destroyed: 5, unrecoverable: true, missing: [] });
  expect(reportReceipts(whole.receipts, mine.members)).toEqual(whole.report);
  expect(await errorOf(mine.show(tokenText))).toMatchObject({ code: "DESTROYED", status: "not-found" });
});

test("wrong numbers are said before a long stream is read", async () => {
  let wasRead = false;
  async function* source(): AsyncIterable<Uint8Array> {
    wasRead = true;
    yield bytesOf(10, 1);
  }
  for (const form of ["whole", "envelope"] as const) {
    const error = await errorOf(newClient().deposit(source(), { form, threshold: 6 }));
    expect(error).toMatchObject({ code: "WRONG_NUMBERS" });
  }
  expect(wasRead).toBe(false);
});

test("a client that is closed asks nobody any more", async () => {
  const client = newClient();
  await client.list();
  await client[Symbol.asyncDispose]();
  expect(await errorOf(client.list())).toMatchObject({ code: "CLOSED" });
});
