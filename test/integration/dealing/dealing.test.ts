import { afterEach, describe, expect, it } from "vitest";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { sealTo } from "../../../protocols/crypto/sealed-box.ts";
import {
  DEALING_PROTOCOL,
  MAX_INLINE_CORRECTION_BYTES,
  MAX_STEP_BYTES,
  STAGING_LIFETIME_MS,
  STEPS_AHEAD,
} from "../../../protocols/dealing/constants.ts";
import { type HeldDeal, loadHeldDeal, shareOf } from "../../../protocols/dealing/held-deal.ts";
import { checkManifest, type Manifest, signManifest } from "../../../protocols/dealing/manifest.ts";
import { sealedSeedContext } from "../../../protocols/dealing/messages.ts";
import { isCorrected } from "../../../protocols/dealing/points.ts";
import { sweepDeals } from "../../../protocols/dealing/staging.ts";
import { lagrangeCoefficients, simdKernel } from "../../../protocols/field/index.ts";
import { signRequest } from "../../../protocols/identity/request.ts";
import { userShareDigest } from "../../../protocols/rounds/share.ts";
import { decodeCanonical } from "../../../protocols/wire/codec.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { seededEntropy } from "../../unit/dealing/seeded.ts";
import { type Federation, type Provider, startFederation } from "./federation.ts";

let federation: Federation;
afterEach(() => federation.close());

async function fullShare(provider: Provider, dealId: Uint8Array, lengthBytes: number): Promise<Uint8Array> {
  const record = (await loadHeldDeal(provider.store, dealId)) as HeldDeal;
  const share = shareOf(record, provider.store);
  const parts: Uint8Array[] = [];
  for await (const chunk of share.correction?.(0) ?? []) parts.push(chunk);
  const correction = share.correction ? Buffer.concat(parts) : new Uint8Array(lengthBytes);
  expect(correction.length).toBe(lengthBytes);
  return aesKeystream(share.seed, 0).xor(correction);
}

function secretOf(shares: readonly Uint8Array[], points: readonly number[]): Uint8Array {
  const sources = points.map((point) => shares[point - 1] as Uint8Array);
  return simdKernel.combine(sources, [lagrangeCoefficients(points, 0)])[0] as Uint8Array;
}

const statesOf = (dealId: Uint8Array) =>
  Promise.all(federation.providers.map(async ({ store }) => (await loadHeldDeal(store, dealId))?.state));

/** Nothing usable: no record with a seed, and after the sweep no file and no staging record either. */
async function expectNothingLeft(providers: readonly Provider[]): Promise<void> {
  for (const { store } of providers) {
    await sweepDeals(store, systemClock.nowMs() + STAGING_LIFETIME_MS + 1_000);
    expect(store.files.size).toBe(0);
    const keys = [...store.records.keys()];
    expect(keys.filter((key) => !key.startsWith("deal/"))).toEqual([]);
    for (const key of keys) {
      const record = await loadHeldDeal(store, new Uint8Array(Buffer.from(key.slice(5), "hex")));
      expect(record).toMatchObject({ state: "burnt", seed: new Uint8Array() });
    }
  }
}

const until = async (condition: () => boolean): Promise<void> => {
  const deadlineMs = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadlineMs) throw new Error("it did not happen within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

describe("a deal over the network", () => {
  it.each([1, 64, MAX_INLINE_CORRECTION_BYTES, MAX_INLINE_CORRECTION_BYTES + 1, 3 * MAX_STEP_BYTES + 7])(
    "of %i bytes gives every provider and the user a share of one polynomial",
    async (lengthBytes) => {
      federation = await startFederation(5);
      const deal = await federation.request({ threshold: 3, lengthBytes });
      const { manifest } = deal;
      expect(await statesOf(manifest.dealId)).toEqual(["dealt", "dealt", "dealt", "dealt", "dealt"]);
      const shares = await Promise.all(
        federation.providers.map((provider) => fullShare(provider, manifest.dealId, lengthBytes)),
      );
      shares.push(aesKeystream(deal.userSeed, 0).xor(new Uint8Array(lengthBytes)));
      const secret = secretOf(shares, [1, 2, 3]);
      expect(Buffer.compare(secretOf(shares, [4, 5, 6]), secret)).toBe(0);
      expect(Buffer.compare(secretOf(shares, [6, 2, 4]), secret)).toBe(0);
      expect(Buffer.compare(secretOf(shares, [1, 2]), secret)).not.toBe(0);
      expect(checkManifest(deal.manifestBytes)).toEqual(manifest);
      expect(federation.outcomes).toMatchObject([{ result: "ok", lengthBytes }]);
      expect(federation.faults).toEqual([]);
    },
  );

  it.each([
    [2, 2],
    [2, 7],
    [7, 7],
  ])("works for %i of %i", async (threshold, providers) => {
    federation = await startFederation(providers);
    const lengthBytes = 200_000;
    const deal = await federation.request({ threshold, lengthBytes });
    const shares = await Promise.all(
      federation.providers.map((provider) => fullShare(provider, deal.manifest.dealId, lengthBytes)),
    );
    shares.push(aesKeystream(deal.userSeed, 0).xor(new Uint8Array(lengthBytes)));
    const first = Array.from({ length: threshold }, (_, index) => index + 1);
    const last = Array.from({ length: threshold }, (_, index) => providers + 1 - index);
    expect(Buffer.compare(secretOf(shares, first), secretOf(shares, last))).toBe(0);
  });

  it("tells the user how far it is", async () => {
    federation = await startFederation(2);
    for (const { store } of federation.providers) {
      store.onChunk = () => new Promise((resolve) => setTimeout(resolve, 100));
    }
    const seen: number[] = [];
    const lengthBytes = 40 * MAX_STEP_BYTES;
    await federation.request({ threshold: 2, lengthBytes, onProgress: (dealtBytes) => seen.push(dealtBytes) });
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    for (const dealtBytes of seen) expect(dealtBytes).toBeLessThanOrEqual(lengthBytes);
  });
});

describe("a slow provider", () => {
  it("paces the others, so that the dealer holds a few steps only", async () => {
    federation = await startFederation(4);
    const lengthBytes = 200 * MAX_STEP_BYTES;
    const stored = new Map<Provider, number>();
    let worst = 0;
    const slow = federation.providers[3] as Provider;
    for (const provider of federation.providers) {
      provider.store.onChunk = async (chunk) => {
        stored.set(provider, (stored.get(provider) ?? 0) + chunk.length);
        if (provider !== slow) worst = Math.max(worst, (stored.get(provider) ?? 0) - (stored.get(slow) ?? 0));
        else await new Promise((resolve) => setTimeout(resolve, 2));
      };
    }
    await federation.request({ threshold: 2, lengthBytes });
    expect(stored.get(slow)).toBe(lengthBytes);
    // The steps of the dealer, and what a stream with its frames buffers on both sides.
    expect(worst).toBeLessThanOrEqual(STEPS_AHEAD * MAX_STEP_BYTES + 2 * 1024 * 1024);
    expect(worst).toBeGreaterThan(0);
  });

  it("that stops altogether is named, not those that starve because of it", async () => {
    federation = await startFederation(4);
    const stuck = federation.providers[2] as Provider;
    stuck.store.onChunk = () => new Promise((resolve) => setTimeout(resolve, 15_000).unref());
    const dealing = federation.request({ threshold: 2, lengthBytes: 100 * MAX_STEP_BYTES });
    await expect(dealing).rejects.toMatchObject({ status: "unreachable", details: { peers: [stuck.peer] } });
  });
});

describe("a deal that fails", () => {
  const LONG = 100 * MAX_STEP_BYTES;

  it.each([100, LONG])(
    "names the providers that are dead, at %i bytes, and the others forget it",
    async (lengthBytes) => {
      federation = await startFederation(5);
      const dead = [federation.providers[0], federation.providers[3]] as Provider[];
      for (const { peer } of dead) federation.network.kill(peer);
      await expect(federation.request({ threshold: 3, lengthBytes })).rejects.toMatchObject({
        status: "unreachable",
        details: { peers: dead.map(({ peer }) => peer), answered: 3, needed: 5 },
      });
      await expectNothingLeft(federation.providers);
      expect(federation.outcomes).toMatchObject([{ result: "unreachable" }]);
    },
  );

  it("because a provider dies half way names it and leaves nothing", async () => {
    federation = await startFederation(4);
    const dying = federation.providers[2] as Provider;
    let chunks = 0;
    dying.store.onChunk = async () => {
      if (++chunks === 5) federation.network.kill(dying.peer);
    };
    await expect(federation.request({ threshold: 2, lengthBytes: LONG })).rejects.toMatchObject({
      status: "unreachable",
      details: { peers: [dying.peer] },
    });
    await expectNothingLeft(federation.providers);
  });

  it("because a provider's disk fails names it", async () => {
    federation = await startFederation(4);
    const full = federation.providers[3] as Provider;
    full.store.onChunk = async () => {
      throw new Error("no space left on device");
    };
    await expect(federation.request({ threshold: 2, lengthBytes: LONG })).rejects.toMatchObject({
      status: "unreachable",
      details: { peers: [full.peer] },
    });
    await expectNothingLeft(federation.providers);
  });

  it("because the dealer dies half way leaves nothing usable, and nothing at all after the sweep", async () => {
    federation = await startFederation(4);
    let chunks = 0;
    for (const { store } of federation.providers) {
      store.onChunk = async () => {
        if (++chunks === 20) federation.network.kill(federation.dealer);
      };
    }
    await expect(federation.request({ threshold: 2, lengthBytes: LONG })).rejects.toMatchObject({
      status: "unreachable",
    });
    await until(() => federation.outcomes.length === 1);
    for (const { store } of federation.providers) {
      expect([...store.records.keys()].filter((key) => key.startsWith("deal/"))).toEqual([]);
    }
    await expectNothingLeft(federation.providers);
  });

  it("because the user gives up ends at the dealer and at the providers", async () => {
    federation = await startFederation(4);
    const abort = new AbortController();
    let chunks = 0;
    for (const { store } of federation.providers) {
      store.onChunk = async () => {
        if (++chunks === 20) abort.abort();
      };
    }
    const dealing = federation.request({ threshold: 2, lengthBytes: LONG, signal: abort.signal });
    await expect(dealing).rejects.toMatchObject({ code: "CANCELLED" });
    await until(() => federation.outcomes.length === 1);
    expect(federation.outcomes[0]?.result).not.toBe("ok");
    await expectNothingLeft(federation.providers);
    expect(federation.faults).toEqual([]);
  });

  it("because the user had given up before asks nobody", async () => {
    federation = await startFederation(2);
    const dealing = federation.request({ threshold: 2, lengthBytes: 10, signal: AbortSignal.abort() });
    await expect(dealing).rejects.toMatchObject({ code: "CANCELLED" });
    expect(federation.outcomes).toEqual([]);
  });
});

/** Longer than what is dealt in one message. */
const LONG_BYTES = MAX_INLINE_CORRECTION_BYTES + 1;

describe("the dealer", () => {
  it("refuses more deals at a time than its quota, in all and for one identity", async () => {
    federation = await startFederation(2, { maxDealsPerIdentity: 2 });
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    for (const { store } of federation.providers) store.onChunk = () => held;
    const running = [1, 2].map(() => federation.request({ threshold: 2, lengthBytes: LONG_BYTES }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    await expect(federation.request({ threshold: 2, lengthBytes: LONG_BYTES })).rejects.toMatchObject({
      status: "busy",
      details: { retryAfterMs: 1_000 },
    });
    release();
    await Promise.all(running);
    await federation.request({ threshold: 2, lengthBytes: 100 });
  });

  it("refuses what is too long, and providers that it does not know", async () => {
    federation = await startFederation(3, { maxLengthBytes: 1000 });
    const [first, second] = federation.providers.map(({ peer }) => peer) as [string, string];
    const refused = [
      federation.request({ threshold: 2, lengthBytes: 1001 }),
      federation.request({ threshold: 2, lengthBytes: 10, providers: [first, federation.dealer] }),
    ];
    for (const each of refused) await expect(each).rejects.toMatchObject({ status: "refused" });
    const twice = federation.request({ threshold: 2, lengthBytes: 10, providers: [first, second, first] });
    await expect(twice).rejects.toMatchObject({ status: "bad-request" });
    await expect(federation.request({ threshold: 4, lengthBytes: 10 })).rejects.toMatchObject({
      code: "BAD_THRESHOLD",
    });
  });

  it("refuses a request that was changed, replayed, or signed for something else", async () => {
    federation = await startFederation(2);
    const { session, userTransport, dealer } = federation;
    const open = async (request: Uint8Array) => {
      const channel = await userTransport.open(dealer, DEALING_PROTOCOL, "deal", { request }, { timeoutMs: 5_000 });
      return await channel.receiveMessage();
    };
    const content = {
      threshold: 2,
      providers: federation.providers.map(({ peer }) => peer),
      lengthBytes: 10,
      ephemeralKey: seededEntropy(1)(32),
    };
    const sign = (purpose: "deal" | "read", nowMs = systemClock.nowMs()) =>
      signRequest({ session, purpose, content, nowMs, lifetimeMs: 60_000, entropy: seededEntropy(nowMs + purpose) });
    const good = sign("deal");
    const changed = good.slice();
    changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
    await expect(open(changed)).rejects.toMatchObject({ status: "refused" });
    await expect(open(sign("read"))).rejects.toMatchObject({ status: "refused" });
    await expect(open(sign("deal", systemClock.nowMs() - 120_000))).rejects.toMatchObject({ status: "expired" });
    await expect(open(good)).resolves.toHaveProperty("manifest");
    await expect(open(good)).rejects.toMatchObject({ status: "replayed" });
  });
});

describe("the user", () => {
  /** A dealer that signs something else than it was asked for. */
  async function lyingDealer(change: (manifest: Manifest) => Manifest) {
    federation = await startFederation(3);
    const entropy = seededEntropy("liar");
    const { dealerTransport, dealerSigner, dealer, providers } = federation;
    await dealerTransport.close();
    const transport = federation.network.transport(dealer, { clock: systemClock });
    await transport.serve(DEALING_PROTOCOL, {
      asks: {
        async "deal-short"(body) {
          const { request } = body as { request: Uint8Array };
          const signed = decodeCanonical(request) as unknown as { body: Uint8Array };
          const { content } = decodeCanonical(signed.body) as unknown as { content: { ephemeralKey: Uint8Array } };
          const dealId = entropy(16);
          const seed = entropy(32);
          const manifest = change({
            version: 1,
            dealId,
            dealer,
            threshold: 2,
            lengthBytes: 100,
            pads: "derived",
            createdAtMs: systemClock.nowMs(),
            expiresAtMs: systemClock.nowMs() + 60_000,
            shares: [...providers.map(({ peer }) => peer), ""].map((peer, index) => ({
              point: index + 1,
              peer,
              digest: index === 3 ? userShareDigest(dealId, 4, seed) : entropy(32),
              corrected: isCorrected(index + 1, 2, 3),
            })),
          });
          const sealedSeed = sealTo(content.ephemeralKey, sealedSeedContext(dealId, 4), seed, entropy);
          return { manifest: signManifest(manifest, dealerSigner), sealedSeed };
        },
      },
    });
    return transport;
  }

  it.each<[what: string, change: (manifest: Manifest) => Manifest]>([
    ["another length", (manifest) => ({ ...manifest, lengthBytes: 99 })],
    ["the providers in another order", (manifest) => ({ ...manifest, shares: swapped(manifest) })],
    ["another digest of its own share", (manifest) => ({ ...manifest, shares: withoutDigest(manifest) })],
    ["an end that has passed", (manifest) => ({ ...manifest, createdAtMs: 1, expiresAtMs: 2 })],
  ])("refuses a deal with %s, and names the dealer", async (_, change) => {
    const transport = await lyingDealer(change);
    await expect(federation.request({ threshold: 2, lengthBytes: 100 })).rejects.toMatchObject({
      code: "WRONG_DEAL",
      status: "integrity",
      details: { peers: [federation.dealer] },
    });
    await transport.close();
  });

  it("takes the same deal when nothing was changed", async () => {
    const transport = await lyingDealer((manifest) => manifest);
    await expect(federation.request({ threshold: 2, lengthBytes: 100 })).resolves.toHaveProperty("userSeed");
    await expect(federation.request({ threshold: 3, lengthBytes: 100 })).rejects.toMatchObject({ code: "WRONG_DEAL" });
    await transport.close();
  });
});

function swapped({ shares }: Manifest): Manifest["shares"] {
  const [first, second] = shares;
  return shares.map((entry, index) => {
    if (index > 1) return entry;
    return { ...entry, peer: (index === 0 ? second?.peer : first?.peer) ?? "" };
  });
}

function withoutDigest({ shares }: Manifest): Manifest["shares"] {
  return shares.map((entry) => (entry.peer === "" ? { ...entry, digest: new Uint8Array(32) } : entry));
}
