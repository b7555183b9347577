/**
 * Deals that were fetched ahead: one file per deal, sealed to a key that is derived from the identity's, so that they are as safe as that
 * is. A deal that is taken is off the disk, for good, before anybody uses it; and as only one of several can remove a file, two commands
 * never take the same deal.
 */
import { mkdir, readdir, readFile, rm, unlink } from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import { type AgreementKey, agreementKeyFromSeed, deriveKey } from "../protocols/crypto/key-agreement.ts";
import { openSealed, sealTo } from "../protocols/crypto/sealed-box.ts";
import type { FreshDeal } from "../protocols/dealing/client.ts";
import { MAX_MANIFEST_BYTES } from "../protocols/dealing/constants.ts";
import { checkManifest, type Manifest } from "../protocols/dealing/manifest.ts";
import { type DealStock, isStockable, type StockedDeal } from "../protocols/dealing/stock.ts";
import { SEED_BYTES } from "../protocols/rounds/share.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { decodeCanonical, encodeCanonical } from "../protocols/wire/codec.ts";
import { boundedBytes, fixedBytes, parseShape } from "../protocols/wire/shape.ts";
import { syncDirectory, writeFileAtomic } from "../runtime/atomic-file.ts";

const ENDING = ".deal";

const stockedShape = v.strictObject({ manifest: boundedBytes(MAX_MANIFEST_BYTES), userSeed: fixedBytes(SEED_BYTES) });

export interface FileStockOptions {
  readonly directory: string;
  /** The identity's private key; only a key derived from it is kept in memory. */
  readonly identitySeed: Uint8Array;
  /** How many to keep; 0: none. */
  readonly size: number;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** A deal was dropped, or left alone, because of its file. */
  readonly onDamaged: (file: string, error: unknown) => void;
}

export function fileStock({ directory, identitySeed, size, clock, entropy, onDamaged }: FileStockOptions): DealStock {
  const key = stockKey(identitySeed);

  async function read(name: string): Promise<FreshDeal | undefined> {
    const file = path.join(directory, name);
    try {
      return openDeal(key, name, await readFile(file));
    } catch (error) {
      if (isMissing(error)) return undefined;
      onDamaged(file, error);
      await rm(file, { force: true }).catch(() => {}); // said above
      return undefined;
    }
  }

  /** What is in a file never changes, so it is opened once to look at it, and once to take it. */
  const seen = new Map<string, Manifest>();

  async function look(name: string): Promise<Manifest | undefined> {
    const known = seen.get(name);
    if (known !== undefined) return known;
    const deal = await read(name);
    if (deal === undefined) return undefined;
    deal.userSeed.fill(0);
    seen.set(name, deal.manifest);
    return deal.manifest;
  }

  async function take(name: string): Promise<FreshDeal | undefined> {
    const deal = await read(name);
    if (deal === undefined) return undefined;
    const file = path.join(directory, name);
    try {
      await unlink(file);
      await syncDirectory(directory);
      return deal;
    } catch (error) {
      deal.userSeed.fill(0);
      if (!isMissing(error)) onDamaged(file, error);
      return undefined;
    }
  }

  return {
    size,
    async deals() {
      const found: StockedDeal[] = [];
      const names = await namesIn(directory, onDamaged);
      for (const name of seen.keys()) if (!names.includes(name)) seen.delete(name);
      for (const name of names) {
        const manifest = await look(name);
        if (manifest === undefined) continue;
        if (isStockable(manifest, clock.nowMs())) found.push({ manifest, take: () => take(name) });
        else await rm(path.join(directory, name), { force: true });
      }
      return found.sort((a, b) => a.manifest.expiresAtMs - b.manifest.expiresAtMs);
    },
    async keep({ manifest, manifestBytes, userSeed }) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const name = Buffer.from(manifest.dealId).toString("hex") + ENDING;
      const plain = encodeCanonical({ manifest: manifestBytes, userSeed });
      const sealed = sealTo(key.publicKey, contextOf(name), plain, entropy);
      plain.fill(0);
      await writeFileAtomic(path.join(directory, name), sealed, 0o600);
    },
  };
}

function openDeal(key: AgreementKey, name: string, sealed: Uint8Array): FreshDeal {
  const plain = openSealed(key, contextOf(name), sealed);
  const { manifest, userSeed } = parseShape(stockedShape, decodeCanonical(plain), "stocked deal");
  const deal = { manifestBytes: manifest.slice(), manifest: checkManifest(manifest), userSeed: userSeed.slice() };
  plain.fill(0);
  return deal;
}

async function namesIn(directory: string, onDamaged: FileStockOptions["onDamaged"]): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => name.endsWith(ENDING));
  } catch (error) {
    if (!isMissing(error)) onDamaged(directory, error);
    return [];
  }
}

function stockKey(identitySeed: Uint8Array): AgreementKey {
  const seed = deriveKey(identitySeed, new Uint8Array(), "intercloud/client-stock/v1");
  try {
    return agreementKeyFromSeed(seed);
  } finally {
    seed.fill(0);
  }
}

/** Bound into the seal, so that a deal cannot be put back under another name. */
function contextOf(name: string): string {
  return `intercloud/stocked-deal/v1 ${name}`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
