/** Encrypting and decrypting with the providers of a network in memory: what they keep, what they see, and who can open a file. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../../../client/client.ts";
import type { Client } from "../../../client/client-api.ts";
import { withDefaults } from "../../../client/deposit-plan.ts";
import { memoryShares, type ShareStore } from "../../../client/shares.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import { sealEnvelope } from "../../../protocols/envelope/index.ts";
import { formatTokenText, parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World, type WorldOptions } from "../../support/custody-world.ts";

const WHOLE_KEY_BYTES = 32 + 32 + 32; // salt, the digest of its one block, the key
const message = bytesOf(300_000, 1);

let world: World;
let clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  await world.close();
  expect(world.faults).toEqual([]);
});

async function newWorld(options: Partial<WorldOptions> = {}): Promise<Client> {
  world = await createWorld({ providers: 5, ...options });
  return newClient();
}

function newClient(identityKey: Signer = newSigner(entropy), shares: ShareStore = memoryShares()): Client {
  const client = createClient({
    ...{ identityKey, shares, entropy, clock: systemClock, spoolDirectory: "/nowhere" },
    directory: world.user.directory,
    connect: async () => world.network.transport(peerNameOf(newSigner(entropy).publicKey), { clock: systemClock }),
    settings: withDefaults({ threshold: 3 }, 5),
  });
  clients.push(client);
  return client;
}

async function decrypted(client: Client, file: Uint8Array): Promise<Uint8Array> {
  return await collect((await client.decrypt(sourceOf(file, 50_000))).message);
}

async function encrypted(client: Client, bytes: Uint8Array, options?: Parameters<Client["encrypt"]>[1]) {
  const { tokenText, token, file } = await client.encrypt(sourceOf(bytes, 40_000), options);
  return { tokenText, token, file: await collect(file) };
}

/** An age file whose header names this deposit. */
async function fileNaming(tokenText: string): Promise<Uint8Array> {
  const envelope = { envelopeKey: new Uint8Array(randomBytes(32)), tokenText, entropy };
  return await collect(sealEnvelope(envelope, sourceOf(message, 40_000)));
}

test.each([
  ["by default", {}],
  ["by fanout", { route: "fanout" }],
  ["with Protocol 2", { protocol: 2 }],
  ["among three of them, any two of which are enough", { providers: 3, threshold: 2, copies: 1 }],
] as const)("what is encrypted is decrypted, at any length, %s", async (_, options) => {
  const client = await newWorld();
  for (const lengthBytes of [0, 1, 65_536, 65_537, 300_000]) {
    const { tokenText, token, file } = await encrypted(client, bytesOf(lengthBytes, 2), options);
    expect(token).toMatchObject({ ...options, lengthBytes: 32, policy: { form: "detached" } });
    const back = await client.decrypt(sourceOf(file, 7_777), { route: "chain" });
    expect(back).toMatchObject({ tokenText, token });
    expect(Buffer.compare(await collect(back.message), bytesOf(lengthBytes, 2))).toBe(0);
  }
});

test("any three of five open a file, home or not, and two do not", async () => {
  const client = await newWorld();
  const { file } = await encrypted(client, message);
  world.kill(1, 4);
  expect(Buffer.compare(await decrypted(client, file), message)).toBe(0);
  world.kill(5);
  const error = await errorOf(decrypted(client, file));
  expect(error).toMatchObject({ code: "NOT_ENOUGH_PROVIDERS", details: { answered: 2, needed: 3 } });
});

test("nobody gets a byte of the file, or of what is in it: the providers keep 32 bytes, whatever its length", async () => {
  const sent: Uint8Array[] = [];
  const client = await newWorld({ observe: ({ bytes }) => void sent.push(bytes.slice()) });
  const { file } = await encrypted(client, bytesOf(5_000_000, 3));
  const kept = world.providers.flatMap(({ store }) => [...store.files.values(), ...store.records.values()]);
  expect(Buffer.concat(sent).length).toBeLessThan(100_000);
  const ciphertexts = world.providers.flatMap(({ store }) =>
    [...store.files].filter(([name]) => name.startsWith("ciphertext")).map(([, bytes]) => bytes.length),
  );
  expect(ciphertexts).toEqual([WHOLE_KEY_BYTES, WHOLE_KEY_BYTES, WHOLE_KEY_BYTES]);
  const pieces = [bytesOf(5_000_000, 3).subarray(1_000, 1_016), file.subarray(1_000, 1_016), file.subarray(-16)];
  for (const piece of pieces) {
    expect([...kept, ...sent].some((bytes) => Buffer.from(bytes).includes(piece))).toBe(false);
  }
});

test("the key is deposited before a byte of the message is read, and wrong numbers are said before that", async () => {
  const client = await newWorld();
  let readChunks = 0;
  async function* source(): AsyncIterable<Uint8Array> {
    for (; readChunks < 10; readChunks += 1) yield bytesOf(65_536, readChunks);
  }
  expect(await errorOf(client.encrypt(source(), { threshold: 6 }))).toMatchObject({ code: "WRONG_NUMBERS" });
  const { tokenText, file } = await client.encrypt(source());
  expect((await client.list()).deposits.map((each) => each.tokenText)).toEqual([tokenText]);
  expect(readChunks).toBe(0);
  await collect(file);
  expect(readChunks).toBe(10);
});

test("every file has a key of its own", async () => {
  const client = await newWorld();
  const files = [await encrypted(client, message), await encrypted(client, message)];
  expect(new Set(files.map(({ tokenText }) => tokenText)).size).toBe(2);
  expect(Buffer.compare(files[0]!.file.subarray(-1_000), files[1]!.file.subarray(-1_000))).not.toBe(0);
});

test("a stranger with the file is refused, and one with Protocol 2 also needs the share", async () => {
  const owner = newSigner(entropy);
  await newWorld();
  const client = newClient(owner);
  const { file } = await encrypted(client, message);
  expect(await errorOf(decrypted(newClient(), file))).toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  const { file: second } = await encrypted(client, message, { protocol: 2 });
  expect(Buffer.compare(await decrypted(client, second), message)).toBe(0);
  expect(await errorOf(decrypted(newClient(owner), second))).toMatchObject({ code: "NO_USER_SHARE" });
});

test("a deposit of a key is no message to get, and one of a message is no key to decrypt with", async () => {
  const client = await newWorld();
  const { tokenText } = await encrypted(client, message);
  const got = await errorOf(client.retrieve(tokenText));
  expect(got).toMatchObject({ code: "FILE_ELSEWHERE", status: "bad-request" });
  expect(got).toMatchObject({ message: expect.stringContaining("intercloud decrypt") });
  // of 32 bytes, so that its length does not tell
  const whole = await client.deposit(bytesOf(32, 5), { form: "whole" });
  const error = await errorOf(decrypted(client, await fileNaming(whole.tokenText)));
  expect(error).toMatchObject({ code: "NO_ENVELOPE_KEY", status: "integrity" });
});

test("a file that names another deposit is refused, and one that nobody knows is not found", async () => {
  const client = await newWorld();
  const [one, other] = [await encrypted(client, message), await encrypted(client, message)];
  const swapped = Buffer.from(
    Buffer.from(one.file).toString("latin1").replace(one.tokenText, other.tokenText),
    "latin1",
  );
  expect(await errorOf(decrypted(client, swapped))).toMatchObject({ code: "WRONG_ENVELOPE_KEY", status: "integrity" });
  const nobodys = formatTokenText({ ...parseTokenText(one.tokenText), tokenId: bytesOf(32, 6) });
  expect(await errorOf(decrypted(client, await fileNaming(nobodys)))).toMatchObject({ code: "NO_SUCH_DEPOSIT" });
});

test("a file that was changed or cut is refused, and what is right of it comes before the error", async () => {
  const client = await newWorld();
  const { file } = await encrypted(client, message);
  const changed = file.slice();
  changed[file.length - 1_000] = (changed[file.length - 1_000] ?? 0) ^ 1;
  for (const wrong of [changed, file.subarray(0, -1), Buffer.concat([file, Buffer.of(0)])]) {
    const released: Uint8Array[] = [];
    const { message: back } = await client.decrypt(sourceOf(wrong, 50_000));
    const read = async () => {
      for await (const bytes of back) released.push(bytes);
    };
    expect(await errorOf(read())).toMatchObject({ code: "FILE_DAMAGED", status: "integrity" });
    expect(Buffer.compare(Buffer.concat(released), message.subarray(0, 4 * 65_536))).toBe(0);
  }
});

test("a signal ends both of them while their source is silent", async () => {
  const client = await newWorld();
  const { file } = await encrypted(client, message);
  async function* silentAfter(bytes: Uint8Array, controller: AbortController): AsyncIterable<Uint8Array> {
    yield bytes.slice();
    setImmediate(() => controller.abort(new Error("enough")));
    await new Promise(() => undefined);
  }
  for (const bytes of [file.subarray(0, 100), file.subarray(0, 100_000)]) {
    const controller = new AbortController();
    const reading = async () => {
      const { message: back } = await client.decrypt(silentAfter(bytes, controller), { signal: controller.signal });
      await collect(back);
    };
    await expect(reading()).rejects.toThrow("enough");
  }
  const controller = new AbortController();
  const { file: begun } = await client.encrypt(silentAfter(message, controller), { signal: controller.signal });
  await expect(collect(begun)).rejects.toThrow("enough");
});
