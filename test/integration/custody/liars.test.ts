/**
 * Naming the liar: up to n-t providers lie in every way that we can think of; the user gets the right bytes, the liars' names, and
 * evidence that checks with the federation file alone. Nobody honest is named.
 */
import { randomInt } from "node:crypto";
import { afterEach, describe, expect, it, test } from "vitest";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import type { RetrieveWarning } from "../../../protocols/custody/client/index.ts";
import { type Court, type Evidence, encodeEvidence, verifyEvidence } from "../../../protocols/custody/evidence.ts";
import { ciphertextName } from "../../../protocols/custody/server/deposit-record.ts";
import { type CustodyProvider, custodyHandlers } from "../../../protocols/custody/server/index.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { decodeCanonical } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { ChannelHandler } from "../../../protocols/wire/transport.ts";
import { type ProviderLie, providerLie } from "../../../testnet/liars/index.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";
import { turnIntoLiar } from "../../support/turn-into.ts";

let world: World;
afterEach(async () => {
  expect(world.faults).toEqual([]);
  await world.close();
});

const SHORT = bytesOf(1_000, 1);
const LONG = bytesOf(2_500_000, 2);

/** How a provider lies, once the deposit is made. */
type Lie =
  /** Its layer is wrong. */
  | "layer"
  /** So is what it says about its share. */
  | "layer-and-account"
  /** It gives no account. */
  | "layer-and-silence"
  /** It owns up to a damaged share. */
  | "layer-and-lost"
  /** It keeps another ciphertext than home signed, and says so. */
  | "ciphertext-and-account"
  /** It sends something else than it signs. */
  | "signature";

/** Providers that lie as soon as `begin` was called. */
async function worldWithLiars(lies: Readonly<Record<number, Lie>>, providers = 5) {
  world = await createWorld({ providers });
  async function begin() {
    for (const [number, lie] of Object.entries(lies)) await turnIntoLiar(world, Number(number), LIES[lie]);
  }
  return { begin };
}

/** A wrong layer, and something else in the place of the account. */
function wrongLayerWith(account: (own: CustodyProvider) => ChannelHandler): ProviderLie {
  const lie = providerLie("wrong-layer");
  return {
    ...lie,
    begin: (liar) => ({
      ...lie.begin(liar),
      handlers: (made, _, own) => ({ ...made, channels: { ...made.channels, account: account(own) } }),
    }),
  };
}

const LIES: Readonly<Record<Lie, ProviderLie>> = {
  layer: providerLie("wrong-layer"),
  "layer-and-account": providerLie("wrong-share"),
  "layer-and-silence": wrongLayerWith(() => async () => {
    throw new IntercloudError("NO", "internal", "I say nothing");
  }),
  "layer-and-lost": wrongLayerWith((own) => {
    const keystream: typeof aesKeystream = (key, offsetBytes) => {
      const reader = aesKeystream(key, offsetBytes);
      return { xor: (bytes) => reader.xor(bytes).map((byte) => byte ^ 1) };
    };
    return custodyHandlers({ ...own, tools: { ...own.tools, keystream } }).channels!["account"]!;
  }),
  "ciphertext-and-account": providerLie("wrong-ciphertext"),
  signature: providerLie("wrong-digest"),
};

function court(): Court {
  return {
    agreementKeyOf: world.user.directory.agreementKeyOf,
    isDealer: (peer) => peer === world.dealer,
    keystream: aesKeystream,
    kernel: simdKernel,
  };
}

async function getNaming(tokenText: string, options: Parameters<World["get"]>[1] = {}) {
  const warnings: RetrieveWarning[] = [];
  const message = await world.get(tokenText, { ...options, onWarning: (warning) => void warnings.push(warning) });
  const named = warnings.flatMap(({ accusation }) => (accusation === undefined ? [] : [accusation]));
  return { message, warnings, named };
}

const KIND_OF: Readonly<Partial<Record<Lie, Evidence["kind"]>>> = {
  layer: "wrong-answer",
  "layer-and-account": "wrong-share",
  "layer-and-lost": "lost",
  "ciphertext-and-account": "wrong-ciphertext",
};

describe.each([
  ["short", SHORT],
  ["long", LONG],
])("a %s message", (length, message) => {
  it.each<[Lie]>([
    ["layer"],
    ["layer-and-account"],
    ["layer-and-lost"],
    ["layer-and-silence"],
    ["ciphertext-and-account"],
    ["signature"],
  ])("a liar of the kind %s is found, and the right bytes come back", async (lie) => {
    const { begin } = await worldWithLiars({ 1: lie });
    const { tokenText } = await world.put(message, { copies: 5 });
    await begin();
    world.kill(5);
    let named: Awaited<ReturnType<typeof getNaming>>["named"] = [];
    // Who takes part is a matter of who answers first; asking often enough meets the liar.
    for (let tries = 0; tries < 20 && named.length === 0; tries += 1) {
      const got = await getNaming(tokenText);
      expect(Buffer.compare(got.message, message)).toBe(0);
      named = got.named;
      if (got.warnings.length > 0 && named.length === 0) break;
    }
    const kind = lie === "layer-and-silence" && length === "short" ? "wrong-answer" : KIND_OF[lie];
    expect(named).toMatchObject(kind === undefined ? [] : [{ accused: world.providers[0]!.peer, kind }]);
    for (const { evidence, accused } of named)
      expect(verifyEvidence(evidence, court())).toMatchObject({ accused, kind });
  });
});

test("n-t liars of several kinds are all named in the end, and nobody else", async () => {
  const lies = { 1: "layer", 3: "layer-and-account", 6: "layer-and-lost" } as const;
  const { begin } = await worldWithLiars(lies, 7);
  const { tokenText } = await world.put(SHORT, { threshold: 4, copies: 7 });
  await begin();
  const liars = [1, 3, 6].map((number) => world.providers[number - 1]!.peer);
  const seen = new Set<string>();
  for (let tries = 0; tries < 40 && seen.size < 3; tries += 1) {
    const { message, named } = await getNaming(tokenText);
    expect(message).toEqual(SHORT);
    for (const { accused, evidence } of named) {
      expect(liars).toContain(accused);
      verifyEvidence(evidence, court());
      seen.add(accused);
    }
  }
  expect([...seen].sort()).toEqual([...liars].sort());
});

test("in the chain route a liar is found by asking each alone", async () => {
  const { begin } = await worldWithLiars({ 2: "layer" }, 3);
  const { tokenText } = await world.put(SHORT, { threshold: 2, copies: 3 });
  await begin();
  const seed = randomInt(2 ** 32);
  for (let tries = 0; tries < 30; tries += 1) {
    const { message, named } = await getNaming(tokenText, { route: "chain" });
    expect(message).toEqual(SHORT);
    if (named.length === 0) continue;
    expect(named).toMatchObject([{ accused: world.providers[1]!.peer, kind: "wrong-answer" }]);
    return;
  }
  throw new Error(`the liar never took part (${seed})`);
});

test("too many liars: an error that names them, and nothing wrong is released", async () => {
  const { begin } = await worldWithLiars({ 1: "layer", 2: "layer" }, 3);
  const { tokenText } = await world.put(SHORT, { threshold: 2 });
  await begin();
  const reading = world.get(tokenText);
  await expect(reading).rejects.toMatchObject({ code: "WRONG_BYTES", status: "integrity" });
});

describe("evidence", () => {
  async function realEvidence(dealer?: "self"): Promise<Uint8Array> {
    const { begin } = await worldWithLiars({ 1: "layer" }, 3);
    const { tokenText } = await world.put(SHORT, { threshold: 3, copies: 1, dealer });
    await begin();
    const warnings: RetrieveWarning[] = [];
    await world.get(tokenText, { onWarning: (warning) => void warnings.push(warning) }).catch(() => {});
    return warnings.find(({ accusation }) => accusation !== undefined)!.accusation!.evidence;
  }

  it("shows nothing when anything in it was changed", async () => {
    const evidence = await realEvidence();
    expect(verifyEvidence(evidence, court()).kind).toBe("wrong-answer");
    const fields = decodeCanonical(evidence) as unknown as Evidence & { kind: "wrong-answer" };
    const honest = world.providers[1]!.peer;
    const flip = (bytes: Uint8Array) => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
    const changes: Partial<typeof fields>[] = [
      { accused: honest },
      { accused: world.dealer },
      { digest: flip(fields.digest) },
      { signature: flip(fields.signature) },
      { secret: flip(fields.secret) },
      { secret: fields.secret.map((byte, i) => (i === 0 ? byte | 1 : byte)) },
      { offsetBytes: 1 },
      { lengthBytes: fields.lengthBytes - 1 },
      { request: flip(fields.request) },
      { proof: flip(fields.proof) },
      { share: { ...fields.share, content: flip(fields.share.content) } },
      { share: { ...fields.share, firstBlock: 1 } },
      { ciphertext: null },
      { ciphertext: { ...fields.ciphertext!, content: flip(fields.ciphertext!.content) } },
    ];
    for (const change of changes) {
      const changed = encodeEvidence({ ...fields, ...change } as Evidence);
      expect(() => verifyEvidence(changed, court()), Object.keys(change).join()).toThrow(
        expect.objectContaining({ code: "EVIDENCE_BROKEN", status: "integrity" }),
      );
    }
    const { length } = evidence;
    for (let tries = 0; tries < 200; tries += 1) {
      const at = randomInt(length);
      const broken = evidence.map((byte, i) => (i === at ? byte ^ (1 << randomInt(8)) : byte));
      expect(() => verifyEvidence(broken, court()), `byte ${at}`).toThrow();
    }
  });

  it("is about nobody outside the federation", async () => {
    const evidence = await realEvidence();
    const strangers: Court = { ...court(), agreementKeyOf: () => undefined };
    expect(() => verifyEvidence(evidence, strangers)).toThrow(/federation/);
    expect(() => verifyEvidence(evidence, { ...court(), isDealer: () => false })).toThrow(/federation/);
  });

  it("counts for what its owner dealt itself, too, and takes no dealer", async () => {
    const evidence = await realEvidence("self");
    const accused = world.providers[0]!.peer;
    expect(verifyEvidence(evidence, { ...court(), isDealer: () => false })).toMatchObject({ accused });
  });

  it("against a right answer shows nothing", async () => {
    world = await createWorld({ providers: 3 });
    const { tokenText } = await world.put(SHORT, { threshold: 3, copies: 1 });
    // A reader that takes every answer for wrong, as a liar among the users would.
    const { tokenId } = parseTokenText(tokenText);
    const file = world.providers[0]!.store.files.get(ciphertextName(tokenId))!;
    file[file.length - 1]! ^= 1;
    const { named } = await getNaming(tokenText).catch(() => ({ named: [] }));
    expect(named).toEqual([]);
  });
});
