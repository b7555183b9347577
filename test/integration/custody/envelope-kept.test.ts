/** The default form of a deposit: the body in an age file at home and the other keepers, its key shared by all, with everything that happens to both. */
import { createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { Decrypter } from "age-encryption";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../../../client/client.ts";
import type { Client } from "../../../client/client-api.ts";
import { withDefaults } from "../../../client/deposit-plan.ts";
import { memoryShares } from "../../../client/shares.ts";
import { bodyDigest } from "../../../protocols/crypto/block-digest.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import type { RetrieveWarning } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL, RESERVED_DISK_BYTES } from "../../../protocols/custody/constants.ts";
import type { KeptEnvelope } from "../../../protocols/custody/kept-envelope.ts";
import { envelopeName } from "../../../protocols/custody/server/deposit-record.ts";
import { restoreAll, settleCustody, sweepDeposits } from "../../../protocols/custody/server/index.ts";
import { DEAL_LIFETIME_MS } from "../../../protocols/dealing/index.ts";
import { sealEnvelope } from "../../../protocols/envelope/index.ts";
import { identityOfKey, openSession, PURPOSES } from "../../../protocols/identity/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { IntercloudError } from "../../../protocols/wire/errors.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import {
  createWorld,
  entropy,
  type World,
  type WorldOptions,
  type WorldProvider,
} from "../../support/custody-world.ts";

const MIB = 1024 * 1024;
const message = bytesOf(300_000, 1);
const long = bytesOf(4 * MIB + 17, 2);
const SIGNAL = new AbortController().signal;

let world: World;
let clients: Client[] = [];
let identityKey: Signer;
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  await world.close();
  expect(world.faults).toEqual([]);
});

async function newWorld(options: Partial<WorldOptions> = {}): Promise<Client> {
  world = await createWorld({ providers: 5, ...options });
  identityKey = newSigner(entropy);
  return newClient();
}

function newClient(key: Signer = identityKey, shares = memoryShares(), peer = newPeer()): Client {
  const client = createClient({
    ...{ identityKey: key, shares, entropy, clock: systemClock, spoolDirectory: "/nowhere" },
    directory: world.user.directory,
    connect: async () => world.network.transport(peer, { clock: systemClock }),
    settings: withDefaults({ threshold: 3 }, 5),
  });
  clients.push(client);
  return client;
}

const newPeer = () => peerNameOf(newSigner(entropy).publicKey);

function mortalClient(shares = memoryShares()) {
  const peer = newPeer();
  return { client: newClient(identityKey, shares, peer), kill: () => world.network.kill(peer) };
}

async function put(client: Client, bytes: Uint8Array, options: Parameters<Client["deposit"]>[1] = {}): Promise<string> {
  return (await client.deposit(sourceOf(bytes.slice(), 100_000), options)).tokenText;
}

/** What comes back, and what was said about it. */
async function get(client: Client, tokenText: string, onChunk = (_: number) => {}) {
  const warnings: RetrieveWarning[] = [];
  const { message: back } = await client.retrieve(tokenText, { onWarning: (warning) => warnings.push(warning) });
  const parts: Uint8Array[] = [];
  for await (const part of back) onChunk(parts.push(part));
  const told = warnings.map(({ kind, peers }) => `${kind} ${peers.map(world.user.directory.nameOf).join(", ")}`);
  return { bytes: Buffer.concat(parts), told };
}

async function expectBack(client: Client, tokenText: string, bytes: Uint8Array, told: readonly string[] = []) {
  const back = await get(client, tokenText);
  expect(back.told).toEqual(told);
  expect(Buffer.compare(back.bytes, bytes)).toBe(0);
}

const provider = (number: number): WorldProvider => world.providers[number - 1]!;
const nameOf = (tokenText: string) => envelopeName(parseTokenText(tokenText).tokenId);

/** The numbers of the providers that have this envelope on their disks. */
function keepersOf(tokenText: string): number[] {
  return world.providers.filter(({ store }) => store.files.has(nameOf(tokenText))).map(({ number }) => number);
}

/** What is left of any deposit, anywhere. */
const filesLeft = () => world.providers.flatMap(({ store }) => [...store.files.keys()]);

function changeFile(number: number, tokenText: string, change: (file: Uint8Array) => Uint8Array): void {
  const { files } = provider(number).store;
  files.set(nameOf(tokenText), change(files.get(nameOf(tokenText))!.slice()));
}

const flippedAt = (at: number) => (file: Uint8Array) => {
  file[at] = (file[at] ?? 0) ^ 1;
  return file;
};

/** This provider stands still, or goes on with `next`, after so many bytes of an envelope that it serves. */
function stopAfter(number: number, lengthBytes: number, next: () => void | Promise<void>): void {
  const { bodies } = provider(number).store;
  const { read } = bodies;
  bodies.read = async function* (name, offsetBytes) {
    let leftBytes = name.startsWith("envelope-") ? lengthBytes : Number.POSITIVE_INFINITY;
    for await (const chunk of read(name, offsetBytes)) {
      if (leftBytes <= 0) await next();
      leftBytes -= chunk.length;
      yield chunk;
    }
  };
}

test.each([
  ["by default", {}],
  ["by fanout", { route: "fanout" }],
  ["with Protocol 1", { protocol: 1 }],
  ["with Protocol 2", { protocol: 2 }],
  ["among three of them, with one copy", { providers: 3, threshold: 2, copies: 1 }],
] as const)("what is put comes back, at any length, %s", async (_, options) => {
  const client = await newWorld();
  const lengths = Object.keys(options).length === 0 ? [0, 1, 65_536, 65_537, 300_000] : [0, 65_537];
  for (const lengthBytes of lengths) {
    const bytes = bytesOf(lengthBytes, 3);
    const { tokenText, token, envelope } = await client.deposit(bytes.slice(), options);
    expect(token).toMatchObject({ ...options, policy: { form: "envelope" } });
    const copies = "copies" in options ? options.copies : 3;
    expect(keepersOf(tokenText)).toEqual([1, 2, 3].slice(0, copies));
    await expectBack(client, tokenText, bytes);
    const shown = await client.show(tokenText);
    expect(shown.report).toMatchObject({ valid: true, form: "envelope", lengthBytes });
    expect(shown.report.envelope).toEqual({
      ...{ lengthBytes: envelope?.lengthBytes, digest: Buffer.from(envelope!.digest).toString("hex") },
    });
    expect(shown.providers.map(({ holdsEnvelope }) => holdsEnvelope)).toEqual(
      shown.providers.map((__, i) => i < copies),
    );
    expect((await client.list()).deposits.find((each) => each.tokenText === tokenText)).toMatchObject({
      envelopeBytes: envelope?.lengthBytes,
    });
  }
});

test("what the keepers have is an age file that the deposit's key opens, for others' programs too, and nobody has more", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  const files = [1, 2, 3].map((number) => provider(number).store.files.get(nameOf(tokenText))!);
  for (const file of files) expect(Buffer.compare(file, files[0]!)).toBe(0);
  const kept = world.providers.flatMap(({ store }) => [...store.files.values(), ...store.records.values()]);
  expect(kept.some((bytes) => Buffer.from(bytes).includes(message.subarray(1_000, 1_016)))).toBe(false);
  // `decrypt` takes it, and so does an age of others that is given the key
  expect(Buffer.compare(await collect((await client.decrypt(sourceOf(files[0]!, 50_000))).message), message)).toBe(0);
  const key = await world.get(tokenText, {}, { ...world.user, session: newSession() });
  const decrypter = new Decrypter();
  decrypter.addIdentity({
    // docs/wire.md, "Envelopes", once more: this shares no code with what is tested
    unwrapFileKey(stanzas) {
      const { body } = stanzas.find(({ args }) => args[0] === "intercloud/v1" && args[1] === tokenText)!;
      const wrapKey = new Uint8Array(hkdfSync("sha256", key, tokenText, "intercloud/envelope/v1", 32));
      const decipher = createDecipheriv("chacha20-poly1305", wrapKey, new Uint8Array(12), { authTagLength: 16 });
      decipher.setAuthTag(body.subarray(16));
      return Buffer.concat([decipher.update(body.subarray(0, 16)), decipher.final()]);
    },
  });
  expect(Buffer.compare(await decrypter.decrypt(files[0]!), message)).toBe(0);
});

/** Of the client's identity. */
function newSession() {
  const identity = identityOfKey(identityKey.publicKey);
  const nowMs = Date.now();
  return openSession({ identity, identityKey, purposes: PURPOSES, nowMs, lifetimeMs: 600_000, entropy });
}

test("a body is got while home is away, from a copy, and not when all three are", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  world.kill(1, 2);
  await expectBack(client, tokenText, message);
  world.kill(3);
  world.revive(1, 2);
  provider(1).store.files.delete(nameOf(tokenText));
  provider(2).store.files.delete(nameOf(tokenText));
  const error = await errorOf(get(client, tokenText));
  expect(error).toMatchObject({ code: "NO_ENVELOPE", status: "unreachable" });
});

test("a keeper that dies in the middle is replaced, and the rest comes from where it stopped", async () => {
  const client = await newWorld();
  const tokenText = await put(client, long);
  const served: number[] = [];
  for (const number of [1, 2, 3])
    stopAfter(number, MIB, () => (served.push(number) === 1 ? world.kill(number) : undefined));
  const { bytes, told } = await get(client, tokenText);
  expect(Buffer.compare(bytes, long)).toBe(0);
  expect(told).toEqual([`replaced provider-${served[0]}`]);
  const again = world.providers.flatMap(({ store }) => store.events.filter(({ kind }) => kind === "served-envelope"));
  const offsets = again.map((event) => (event.kind === "served-envelope" ? event.offsetBytes : -1));
  expect(offsets.filter((offset) => offset > 0)).toHaveLength(1);
});

test("a keeper that stands still is replaced", async () => {
  const client = await newWorld();
  const tokenText = await put(client, long);
  const stopped: number[] = [];
  const release = Promise.withResolvers<void>();
  for (const number of [1, 2, 3]) {
    stopAfter(number, MIB, () => (stopped.length > 0 && stopped[0] !== number ? undefined : stand(number)));
  }
  const stand = (number: number) => {
    stopped.push(number);
    return release.promise;
  };
  const { bytes, told } = await get(client, tokenText);
  release.resolve();
  expect(Buffer.compare(bytes, long)).toBe(0);
  expect(told).toEqual([`replaced provider-${stopped[0]}`]);
});

test.each([
  ["in the header", 40],
  ["in the wrapped key", 170],
  ["in the first chunk", 1_000],
  ["in the middle", 150_000],
  ["in the last byte", -1],
])("keepers that serve a flipped bit %s are named, and the right bytes come back", async (_, at) => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  const lengthBytes = provider(1).store.files.get(nameOf(tokenText))!.length;
  for (const number of [1, 2]) changeFile(number, tokenText, flippedAt(at < 0 ? lengthBytes + at : at));
  // which of them is asked first is a matter of time; the right one may be
  for (let round = 0; round < 8; round += 1) {
    const { bytes, told } = await get(client, tokenText);
    expect(Buffer.compare(bytes, message)).toBe(0);
    for (const each of told) expect(each).toMatch(/^wrong-envelope provider-[12](, provider-[12])?$/);
    if (told.length > 0) return;
  }
  throw new Error("the keeper with the right bytes was always asked first");
});

test("when all keepers are wrong nothing wrong is released, and they are named", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  for (const number of [1, 2, 3]) changeFile(number, tokenText, flippedAt(150_000));
  let released = 0;
  const error = await errorOf(get(client, tokenText, () => (released += 1)));
  expect(error).toMatchObject({ code: "WRONG_BYTES", status: "integrity", details: { peers: expect.any(Array) } });
  expect((error as { details: { peers: string[] } }).details.peers).toHaveLength(3);
  expect(released).toBe(2); // the two chunks before it
});

test("a home that serves another envelope, cut, longer or of another deposit, is passed over", async () => {
  const client = await newWorld();
  const other = await put(client, bytesOf(300_000, 9), { copies: 1 });
  const otherFile = provider(1).store.files.get(nameOf(other))!;
  for (const change of [
    () => otherFile,
    (file: Uint8Array) => file.subarray(0, -70_000),
    (file: Uint8Array) => Buffer.concat([file, file.subarray(-65_552)]),
  ]) {
    const tokenText = await put(client, message, { copies: 2 });
    changeFile(1, tokenText, change);
    const { bytes, told } = await get(client, tokenText);
    expect(Buffer.compare(bytes, message)).toBe(0);
    expect(told.every((each) => each === "wrong-envelope provider-1" || each === "replaced provider-1")).toBe(true);
    provider(2).store.files.delete(nameOf(tokenText));
    expect(await errorOf(get(client, tokenText))).toMatchObject({
      details: { peers: expect.arrayContaining([provider(1).peer]) },
    });
  }
});

test("a stranger gets no byte, a grantee gets all of it, and not after the revoke", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  const friend = newClient(newSigner(entropy));
  expect(await errorOf(get(friend, tokenText))).toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  await client.grant(tokenText, friend.identity);
  await expectBack(friend, tokenText, message);
  await client.revoke(tokenText, friend.identity);
  expect(await errorOf(get(friend, tokenText))).toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  const served = world.providers.flatMap(({ store }) => store.events.filter(({ kind }) => kind === "served-envelope"));
  expect(served).toHaveLength(1);
});

test("a revoke ends what its grantee is getting", async () => {
  const client = await newWorld();
  const tokenText = await put(client, long);
  const friend = newClient(newSigner(entropy));
  await client.grant(tokenText, friend.identity);
  const { message: back } = await friend.retrieve(tokenText);
  let parts = 0;
  const reading = async () => {
    for await (const _ of back) {
      parts += 1;
      if (parts === 2) await client.revoke(tokenText, friend.identity);
    }
  };
  expect(await errorOf(reading())).toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  expect(parts * 65_536).toBeLessThan(long.length);
});

test("an envelope that a keeper and somebody with the key made is not the owner's, and its end is never released", async () => {
  const client = await newWorld();
  for (const [bytes, copies] of [
    [message, 1],
    [bytesOf(1_000, 7), 2],
  ] as const) {
    const tokenText = await put(client, bytes, { copies });
    const envelopeKey = await world.get(tokenText, {}, { ...world.user, session: newSession() });
    const forged = sealEnvelope({ envelopeKey, tokenText, entropy }, sourceOf(bytesOf(bytes.length, 8), 50_000));
    const file = await collect(forged);
    changeFile(1, tokenText, () => file);
    if (copies === 2) {
      // nothing of one chunk was released: another keeper makes up for it
      expect(Buffer.compare((await get(client, tokenText)).bytes, bytes)).toBe(0);
      provider(2).store.files.delete(nameOf(tokenText));
    }
    let parts = 0;
    const error = await errorOf(get(client, tokenText, () => (parts += 1)));
    expect(error).toMatchObject({ code: "WRONG_BYTES", status: "integrity", details: { peers: [provider(1).peer] } });
    expect(parts).toBe(Math.floor(bytes.length / 65_536));
  }
});

test("a refresh and moves take the body along, and leave none behind", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message, { providers: 3, copies: 2, threshold: 2 });
  const before = provider(1).store.files.get(nameOf(tokenText));
  await client.refresh(tokenText);
  expect(keepersOf(tokenText)).toEqual([1, 2]);
  expect(provider(1).store.files.get(nameOf(tokenText))).toEqual(before);
  await expectBack(client, tokenText, message);
  const to = ["provider-5", "provider-4", "provider-2"];
  const moved = await client.move(tokenText, { to, threshold: 2, copies: 2 });
  expect(keepersOf(tokenText)).toEqual([4, 5]);
  for (const text of [tokenText, moved.tokenText]) await expectBack(client, text, message);
  const fewer = await client.move(moved.tokenText, { to: ["provider-4", "provider-1"], threshold: 2, copies: 1 });
  expect(keepersOf(tokenText)).toEqual([4]);
  await expectBack(client, fewer.tokenText, message);
  const { report } = await client.destroy(fewer.tokenText);
  expect(report.unrecoverable).toBe(true);
  expect(filesLeft()).toEqual([]);
});

test("a new keeper takes a right copy only; when there is none the move is refused and the deposit stays where it is", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message, { providers: 3, copies: 2, threshold: 2 });
  const [to, back] = [
    ["provider-4", "provider-5"],
    ["provider-1", "provider-2", "provider-3"],
  ];
  changeFile(1, tokenText, flippedAt(100_000));
  await client.move(tokenText, { to, threshold: 2, copies: 1 });
  await expectBack(client, tokenText, message);
  changeFile(4, tokenText, flippedAt(100_000));
  const moving = client.move(tokenText, { to: back, threshold: 2, copies: 2 });
  // the word of the new home, which is honest, against that of the provider that gave it something else
  const peers = [provider(4).peer, provider(1).peer];
  expect(await errorOf(moving)).toMatchObject({ code: "PROVIDERS_DISAGREE", status: "integrity", details: { peers } });
  expect(keepersOf(tokenText)).toEqual([4]);
  changeFile(4, tokenText, flippedAt(100_000));
  await expectBack(client, tokenText, message);
});

test("repair and restore bring the body back, from another keeper whose copy is good", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  const good = provider(3).store.files.get(nameOf(tokenText));
  changeFile(2, tokenText, flippedAt(100_000));
  provider(1).store.files.delete(nameOf(tokenText));
  const { providers } = await client.repair(tokenText);
  const mended = { record: false, share: false, ciphertext: false, envelope: true };
  const nothing = { ...mended, envelope: false };
  expect(providers.map(({ repaired }) => repaired)).toEqual([mended, mended, nothing, nothing, nothing]);
  for (const number of [1, 2]) expect(provider(number).store.files.get(nameOf(tokenText))).toEqual(good);

  const { store, custody, peer } = provider(1);
  store.records.clear();
  store.files.clear();
  const others = world.user.directory.providers.filter((each) => each !== peer);
  expect(await restoreAll(custody, others, SIGNAL, () => {})).toMatchObject({ restored: 1 });
  expect(store.files.get(nameOf(tokenText))).toEqual(good);
  world.kill(2, 3);
  await expectBack(client, tokenText, message);
});

test("destroying removes every copy of the body, and the receipts tell of it", async () => {
  const client = await newWorld();
  const tokenText = await put(client, message);
  const { report } = await client.destroy(tokenText);
  expect(report).toMatchObject({ valid: true, destroyed: 5 });
  expect(report.receipts.map(({ envelope }) => envelope).sort()).toEqual([false, false, true, true, true]);
  expect(filesLeft()).toEqual([]);
});

test("an interrupted put leaves nothing: a source that breaks, one that is silent, a provider that dies", async () => {
  const client = await newWorld();
  async function* broken(then: () => void | Promise<void>): AsyncIterable<Uint8Array> {
    for (let at = 0; at < 3 * MIB; at += 100_000) yield bytesOf(100_000, at);
    await then();
    yield bytesOf(100_000, 5);
  }
  const failing = client.deposit(broken(() => Promise.reject(new Error("the disk was pulled out"))));
  await expect(failing).rejects.toThrow("the disk was pulled out");
  world.faults.length = 0; // the providers were told of an internal error, and nothing more
  const stop = new AbortController();
  const silent = client.deposit(
    broken(async () => await new Promise(() => setImmediate(() => stop.abort(new Error("enough"))))),
    { signal: stop.signal },
  );
  expect(await errorOf(silent)).toMatchObject({ code: "CANCELLED" });
  expect(await errorOf(client.deposit(broken(() => world.kill(2))))).toMatchObject({
    ...{ code: "NOT_ENOUGH_PROVIDERS", details: { peers: [provider(2).peer] } },
  });
  world.revive(2);
  await expect
    .poll(() => filesLeft().filter((name) => !name.startsWith("correction-")), { timeout: 10_000 })
    .toEqual([]);
  expect((await client.list()).deposits).toEqual([]);
});

test("an encrypt whose file is not read to its end, or not kept, leaves no key behind", async () => {
  const client = await newWorld();
  const left = await client.encrypt(sourceOf(message.slice(), 50_000));
  for await (const _ of left.file) break;
  const notKept = await client.encrypt(sourceOf(message.slice(), 50_000));
  await collect(notKept.file);
  expect((await client.list()).deposits.map(({ tokenText }) => tokenText)).toEqual([notKept.tokenText]);
  await notKept.giveUp();
  expect((await client.list()).deposits).toEqual([]);
  expect(filesLeft()).toEqual([]);
});

test("a client that dies: what it gave is burnt at once, or when its deal is over", async () => {
  await newWorld();
  const left = () => filesLeft().filter((name) => name.startsWith("envelope-"));
  const midway = mortalClient();
  async function* source(): AsyncIterable<Uint8Array> {
    for (let at = 0; at < 2 * MIB; at += 100_000) yield bytesOf(100_000, at);
    midway.kill();
  }
  expect(await errorOf(midway.client.deposit(source()))).toMatchObject({ status: "unreachable" });
  await expect.poll(left, { timeout: 10_000 }).toEqual([]);

  // with Protocol 2 it keeps its share when all is there and nothing is sealed
  const atTheEnd = mortalClient({ ...memoryShares(), keep: async () => atTheEnd.kill() });
  const dying = atTheEnd.client.deposit(message.slice(), { protocol: 2 });
  expect(await errorOf(dying)).toMatchObject({ status: "unreachable" });
  expect(left()).toHaveLength(3);
  for (const { custody } of world.providers) await sweepDeposits(custody, true);
  expect(left()).toHaveLength(3); // all have signed for it: its owner may still close it
  const clock = { ...systemClock, nowMs: () => Date.now() + DEAL_LIFETIME_MS + 60_000 };
  for (const { custody } of world.providers) await settleCustody({ ...custody, clock }, new AbortController().signal);
  expect(left()).toEqual([]);

  provider(1).store.files.set(envelopeName(randomBytes(32)), message);
  await sweepDeposits(provider(1).custody, true);
  expect(left()).toEqual([]);
});

test("the quota and the disk hold for bodies as they grow, and what was too much is not there", async () => {
  let client = await newWorld({ limits: { maxOwnerBytes: 500_000 } });
  const tokenText = await put(client, message);
  for (const bytes of [message, long]) {
    const error = await errorOf(put(client, bytes));
    expect(error).toMatchObject({ status: "full", details: { peers: expect.any(Array) } });
  }
  expect(
    world.providers.map(({ store }) => [...store.files.keys()].filter((name) => name.startsWith("envelope-"))),
  ).toEqual([...[1, 2, 3].map(() => [nameOf(tokenText)]), ...[[], []]]);
  await client.destroy(tokenText);
  await put(client, message);
  await world.close();

  client = await newWorld();
  let freeBytes = 2 ** 40;
  Object.assign(provider(2).custody, { freeBytes: async () => freeBytes });
  async function* growing(): AsyncIterable<Uint8Array> {
    for (let at = 0; at < 20 * MIB; at += MIB) {
      if (at === 4 * MIB) freeBytes = RESERVED_DISK_BYTES - 1;
      yield new Uint8Array(MIB);
    }
  }
  const error = await errorOf(client.deposit(growing()));
  expect(error).toMatchObject({ status: "full", details: { peers: [provider(2).peer] } });
  expect(filesLeft().filter((name) => name.startsWith("envelope-"))).toEqual([]);
});

test("a home that gives the other keepers another envelope is found out before the deposit is closed", async () => {
  const client = await newWorld();
  const { custody } = provider(1);
  const { open } = custody.transport;
  let expected: KeptEnvelope | undefined;
  const lying: typeof open = async (...args) => {
    const channel = await open(...args);
    if (args[2] !== "envelope") return channel;
    return {
      ...channel,
      async sendBody(source) {
        const bytes = await collect(source);
        expected = { lengthBytes: bytes.length, digest: bodyDigest(bytes) };
        return await channel.sendBody(sourceOf(flippedAt(100)(bytes.slice()), 50_000));
      },
      async receiveMessage() {
        await channel.receiveMessage();
        return { envelope: expected! };
      },
    };
  };
  Object.assign(custody.transport, { open: lying });
  const error = (await errorOf(put(client, message))) as IntercloudError;
  expect(error).toMatchObject({ code: "PROVIDERS_DISAGREE", status: "integrity" });
  // a keeper's word against home's
  expect(error.details.peers?.[0]).toBe(provider(1).peer);
  expect(filesLeft().filter((name) => name.startsWith("envelope-"))).toEqual([]);
});

test("an envelope is taken from the owner's client only, once, and for a deposit that is to have one", async () => {
  const client = await newWorld();
  const whole = (await client.deposit(message.slice(), { form: "whole" })).tokenText;
  const tokenText = await put(client, message);
  const before = provider(1).store.files.get(nameOf(tokenText));
  for (const [token, asker] of [
    [whole, world.user.transport],
    [tokenText, world.user.transport],
    [tokenText, provider(1).transport],
  ] as const) {
    for (const number of [1, 2, 5]) {
      if (provider(number).transport === asker) continue;
      const { tokenId } = parseTokenText(token);
      const sending = async () => {
        const options = { timeoutMs: 1_000, signal: SIGNAL };
        const channel = await asker.open(provider(number).peer, CUSTODY_PROTOCOL, "envelope", { tokenId }, options);
        await channel.sendBody(sourceOf(message.slice(), 100_000));
        await channel.receiveMessage();
      };
      expect(await errorOf(sending())).toMatchObject({ status: "refused" });
    }
  }
  expect(provider(1).store.files.get(nameOf(tokenText))).toEqual(before);
  expect(keepersOf(whole)).toEqual([]);
});
