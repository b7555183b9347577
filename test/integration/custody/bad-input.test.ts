/** What bad input gets: each refused with a code of its own, and nothing left that could be mistaken for a deposit. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import type { RetrieveWarning } from "../../../protocols/custody/client/index.ts";
import { signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { ciphertextName, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { signRequest } from "../../../protocols/identity/index.ts";
import { encodeDescriptor, type RoundDescriptor } from "../../../protocols/rounds/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import type { Transport } from "../../../protocols/wire/transport.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World, type WorldProvider } from "../../support/custody-world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);
const CALL = { timeoutMs: 5_000 };

/** Every store holds nothing but the ids of burnt deals. */
function expectNothingKept(): void {
  for (const { store, number } of world.providers) {
    expect([number, ...store.files.keys()]).toEqual([number]);
    const left = [...store.records.keys()].filter((key) => !key.startsWith("deal/"));
    expect([number, ...left]).toEqual([number]);
  }
}

/** Asks one provider for its part of a round and reads the answer to its end. */
async function askPart(
  to: WorldProvider,
  request: Uint8Array,
  lengthBytes: number,
  as: Transport = world.user.transport,
): Promise<Uint8Array> {
  const channel = await as.open(to.peer, CUSTODY_PROTOCOL, "retrieve", { request }, CALL);
  const parts: Uint8Array[] = [];
  for await (const part of channel.receiveBody({ lengthBytes })) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

async function descriptorFor(tokenText: string, change: Partial<RoundDescriptor> = {}): Promise<RoundDescriptor> {
  const { terms } = await loadDeposit(world.providers[0]!.store, parseTokenText(tokenText).tokenId);
  return {
    version: 1,
    kind: "retrieve",
    route: "fanout",
    dealId: terms.token.dealId,
    tokenId: terms.tokenId,
    members: world.providers.slice(0, 3).map(({ number, peer }) => ({ point: number, peer })),
    userPoint: null,
    requester: world.user.transport.peer,
    userKey: newAgreementKey(entropy).publicKey,
    nonce: entropy(16),
    offsetBytes: 0,
    lengthBytes: terms.manifest.lengthBytes,
    expiresAtMs: Date.now() + 60_000,
    ...change,
  };
}

test("somebody else's token: refused by every provider", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const stranger = world.stranger();
  await expect(world.get(tokenText, {}, stranger)).rejects.toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  const descriptor = await descriptorFor(tokenText);
  const request = signedRequest(stranger, "retrieve", { descriptor: encodeDescriptor(descriptor) });
  for (const provider of world.providers.slice(0, 3)) {
    await expect(askPart(provider, request, descriptor.lengthBytes)).rejects.toMatchObject({ status: "refused" });
  }
});

test("whoever knows the id of a deposit may ask who holds it, and on which deal, and learns nothing more", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const { transport } = world.stranger();
  const answers = await Promise.all(
    world.providers.map(({ peer }) => transport.ask(peer, CUSTODY_PROTOCOL, "ready", { tokenId }, CALL)),
  );
  const held = (holdsCiphertext: boolean) => ({
    held: [{ dealId: token.dealId, holdsCiphertext, holdsEnvelope: false }],
  });
  expect(answers).toEqual([true, true, true, false, false].map(held));
});

test("a token that nobody knows: not found", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const token = { ...parseTokenText(tokenText), tokenId: entropy(32) };
  await expect(world.get(tokenText, { token })).rejects.toMatchObject({ code: "NO_SUCH_DEPOSIT", status: "not-found" });
});

test("a replayed retrieval, an expired one, and one from before the node started: refused", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const descriptor = await descriptorFor(tokenText);
  const content: CborValue = { descriptor: encodeDescriptor(descriptor) };
  const request = signedRequest(world.user, "retrieve", content);
  const [first] = world.providers;
  await askPart(first!, request, descriptor.lengthBytes);
  const replay = askPart(first!, request, descriptor.lengthBytes);
  await expect(replay).rejects.toMatchObject({ status: "replayed" });
  const lateRequest = signRequest({
    ...{ session: world.user.session, purpose: "retrieve", content, entropy },
    nowMs: Date.now() - 60_000,
    lifetimeMs: 1_000,
  });
  await expect(askPart(first!, lateRequest, descriptor.lengthBytes)).rejects.toMatchObject({ status: "expired" });
  const earlyRequest = signRequest({
    ...{ session: world.user.session, purpose: "retrieve", content, entropy },
    nowMs: Date.now() - 100_000,
    lifetimeMs: 300_000,
  });
  await expect(askPart(first!, earlyRequest, descriptor.lengthBytes)).rejects.toMatchObject({ status: "replayed" });
});

test("a round that does not fit the deposit is refused", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const whole = await descriptorFor(tokenText);
  const [one, two, three, four] = whole.members.concat({ point: 4, peer: world.providers[3]!.peer });
  const changes: Partial<RoundDescriptor>[] = [
    { members: [one!, two!] },
    { members: [one!, two!, three!, four!] },
    { members: [one!, { point: 3, peer: two!.peer }, { point: 2, peer: three!.peer }] },
    { kind: "deposit" },
    { userPoint: 6 },
    { dealId: entropy(16) },
    { offsetBytes: 1 },
    { lengthBytes: whole.lengthBytes + 1 },
    { expiresAtMs: Date.now() - 1_000 },
  ];
  for (const change of changes) {
    const descriptor = encodeDescriptor({ ...whole, nonce: entropy(16), ...change });
    const request = signedRequest(world.user, "retrieve", { descriptor });
    const answer = askPart(world.providers[0]!, request, whole.lengthBytes);
    await expect(answer, JSON.stringify(Object.keys(change))).rejects.toMatchObject({
      status: expect.stringMatching(change.dealId === undefined ? /^(bad-request|expired)$/ : /^conflict$/),
    });
  }
});

test("a user's key of small order gives no mask, and is refused", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const descriptor = await descriptorFor(tokenText, { userKey: new Uint8Array(32) });
  const request = signedRequest(world.user, "retrieve", { descriptor: encodeDescriptor(descriptor) });
  const answer = askPart(world.providers[0]!, request, descriptor.lengthBytes);
  await expect(answer).rejects.toMatchObject({ status: "bad-request" });
});

test("a flipped bit in one stored ciphertext: found, and mended from a copy", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const name = ciphertextName(parseTokenText(tokenText).tokenId);
  world.providers[0]!.store.files.get(name)![200_000]! ^= 1;
  world.kill(4, 5);
  const warnings: RetrieveWarning[] = [];
  const onWarning = (warning: RetrieveWarning) => void warnings.push(warning);
  const back = await world.get(tokenText, { onWarning });
  expect(Buffer.compare(back, MESSAGE)).toBe(0);
  // which keeper comes first is a matter of who answers first; asking often enough meets the damaged one
  for (let tries = 0; tries < 20 && warnings.length === 0; tries += 1) {
    await world.get(tokenText, { onWarning });
  }
  expect(warnings).toMatchObject([{ kind: "named", accusation: { accused: world.providers[0]!.peer, kind: "lost" } }]);
});

test("a flipped bit in every copy of the ciphertext: an error, and nothing wrong is released", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const name = ciphertextName(parseTokenText(tokenText).tokenId);
  for (const { store } of world.providers) {
    const file = store.files.get(name);
    if (file !== undefined) file[100]! ^= 0x80;
  }
  await expect(world.get(tokenText)).rejects.toMatchObject({ code: "WRONG_BYTES", status: "integrity" });
});

test("a provider that lies about its layer: detected, and left out when there are others", async () => {
  await world.close();
  const liar = 2;
  let lying = false;
  world = await createWorld({
    providers: 5,
    toolsOf: (who) => {
      if (who !== liar) return {};
      const wrong: typeof simdKernel = {
        ...simdKernel,
        addScaled(target, source, coefficient) {
          simdKernel.addScaled(target, source, coefficient);
          if (lying) target[0]! ^= 1;
        },
      };
      return { kernel: wrong, keystream: aesKeystream };
    },
  });
  const { tokenText } = await world.put(MESSAGE);
  lying = true;
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  world.kill(4, 5);
  await expect(world.get(tokenText)).rejects.toMatchObject({ code: "WRONG_BYTES", status: "integrity" });
});

test("a provider dies while it serves: another takes its place and the rest comes from there", async () => {
  const message = bytesOf(8_000_000, 5);
  const { tokenText } = await world.put(message);
  const { retrieve } = await import("../../../protocols/custody/client/index.ts");
  for (const route of ["fanout", "chain"] as const) {
    const served: string[] = [];
    const { message: stream } = await retrieve(world.user, {
      ...{ token: parseTokenText(tokenText), route, userShare: async () => undefined },
      onWarning: ({ peers }) => void served.push(...peers),
    });
    const parts: Uint8Array[] = [];
    let killed = false;
    for await (const part of stream) {
      parts.push(part.slice());
      if (!killed) {
        killed = true;
        world.kill(1, 2);
      }
    }
    expect(Buffer.compare(Buffer.concat(parts), message)).toBe(0);
    world.revive(1, 2);
  }
});

test("a dealer that is dead, or dies half way: no deposit", async () => {
  world.network.kill(world.dealer);
  await expect(world.put(MESSAGE)).rejects.toMatchObject({ code: "NO_DEAL", status: "unreachable" });
  expectNothingKept();
});

test("a provider that dies while it is dealt to is named, not the dealer", async () => {
  const putting = world.put(bytesOf(8_000_000, 3), {
    onProgress: ({ phase }) => {
      if (phase === "hashing") world.kill(4);
    },
  });
  await expect(putting).rejects.toMatchObject({
    code: "NOT_ENOUGH_PROVIDERS",
    message: expect.stringContaining("provider-4"),
    details: { answered: 4, needed: 5, peers: [world.providers[3]!.peer] },
  });
});

for (const route of ["chain", "fanout"] as const) {
  test(`a provider dies in the middle of a ${route} deposit: it is named, and the others keep nothing`, async () => {
    const message = bytesOf(4_000_000, 6);
    let killed = false;
    const putting = world.put(message, {
      route,
      onProgress: ({ phase, doneBytes }) => {
        if (phase !== "pouring" || doneBytes < 2_000_000 || killed) return;
        killed = true;
        world.kill(3);
      },
    });
    await expect(putting).rejects.toMatchObject({
      status: expect.stringMatching(/^(unreachable|cancelled|integrity)$/),
    });
    for (const { store, number } of world.providers) {
      if (number === 3) continue;
      expect([...store.files.keys()]).toEqual([]);
      expect([...store.records.keys()].filter((key) => !key.startsWith("deal/"))).toEqual([]);
    }
  });

  test(`the user cancels a ${route} deposit in the middle: nobody keeps anything`, async () => {
    const controller = new AbortController();
    const putting = world.put(bytesOf(4_000_000, 7), {
      route,
      signal: controller.signal,
      onProgress: ({ phase, doneBytes }) => {
        if (phase === "pouring" && doneBytes > 1_000_000) controller.abort();
      },
    });
    await expect(putting).rejects.toMatchObject({ code: "CANCELLED" });
    expectNothingKept();
  });
}

test("a message that changes while it is deposited, or has another length, is given up", async () => {
  let opened = 0;
  const changing = {
    lengthBytes: 1000,
    async *open() {
      opened += 1;
      yield bytesOf(1000, opened);
    },
  };
  await expect(world.put(MESSAGE, { source: changing })).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  const short = { lengthBytes: 1001, open: () => changing.open() };
  await expect(world.put(MESSAGE, { source: short })).rejects.toMatchObject({ code: "SOURCE_LENGTH" });
  expectNothingKept();
});

test("an owner over its quota is told so, and nothing is kept", async () => {
  await world.close();
  world = await createWorld({ providers: 5, limits: { maxOwnerBytes: 500_000 } });
  await world.put(MESSAGE);
  await expect(world.put(MESSAGE)).rejects.toMatchObject({ status: "full" });
  const owned = world.providers.map(({ store }) => [...store.files.keys()].filter((name) => name.startsWith("cipher")));
  expect(owned.map((names) => names.length)).toEqual([1, 1, 1, 0, 0]);
});

test("oversized, malformed and foreign messages are refused without a trace", async () => {
  const [first] = world.providers;
  const ask = (method: string, body: CborValue) =>
    world.user.transport.ask(first!.peer, CUSTODY_PROTOCOL, method, body, CALL);
  for (const method of ["bind", "seal", "abandon", "show", "list", "ready", "locate"]) {
    await expect(ask(method, { nonsense: 1 }), method).rejects.toMatchObject({ status: "bad-request" });
    await expect(ask(method, new Uint8Array(100)), method).rejects.toMatchObject({ status: "bad-request" });
  }
  await expect(ask("no-such-method", {})).rejects.toMatchObject({ status: "not-found" });
  const retrieveRequest = signedRequest(world.user, "read", { descriptor: new Uint8Array(3) });
  await expect(askPart(first!, retrieveRequest, 10)).rejects.toMatchObject({ status: "refused" });
  expectNothingKept();
});

test("only the peer that bound a deposit may pour it, and only once", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  for (const step of [1, 2, 6]) {
    const stranger = world.stranger();
    const header = { tokenId, step };
    const channel = await stranger.transport.open(world.providers[0]!.peer, CUSTODY_PROTOCOL, "pour", header, CALL);
    await expect(channel.receiveMessage()).rejects.toMatchObject({ status: "refused" });
  }
  const again = await world.user.transport.open(
    ...([world.providers[0]!.peer, CUSTODY_PROTOCOL, "pour", { tokenId, step: 1 }, CALL] as const),
  );
  await expect(again.receiveMessage()).rejects.toMatchObject({ status: "conflict" });
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
});

test("a provider cannot ask others in the owner's name with a question that was put to it", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const [first, second] = world.providers;
  const show = { request: signedRequest(world.user, "read", { tokenId, provider: first!.peer }) };
  const list = { request: signedRequest(world.user, "read", { after: null, provider: first!.peer }) };
  const ask = (method: string, body: CborValue) =>
    first!.transport.ask(second!.peer, CUSTODY_PROTOCOL, method, body, CALL);
  await expect(ask("show", show)).rejects.toMatchObject({ status: "refused" });
  await expect(ask("list", list)).rejects.toMatchObject({ status: "refused" });
});

test("a provider cannot use up a request by sending it to the others first", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const [first, second] = world.providers;
  const descriptor = await descriptorFor(tokenText);
  const request = signedRequest(world.user, "retrieve", { descriptor: encodeDescriptor(descriptor) });
  const stolen = askPart(second!, request, descriptor.lengthBytes, first!.transport);
  await expect(stolen).rejects.toMatchObject({ status: "refused" });
  expect(await askPart(second!, request, descriptor.lengthBytes)).toHaveLength(descriptor.lengthBytes);
});
