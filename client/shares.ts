/**
 * The user's own shares of Protocol 2 deposits: one file per deposit, sealed to a key that is derived from the identity's.
 * Without its share such a deposit cannot be read, so a share is on disk before its deposit exists.
 */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import { type AgreementKey, agreementKeyFromSeed, deriveKey } from "../protocols/crypto/key-agreement.ts";
import { openSealed, sealTo } from "../protocols/crypto/sealed-box.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { writeFileAtomic } from "../runtime/atomic-file.ts";

export interface ShareStore {
  /** On disk when it resolves. A deposit has a share on each deal that it is or was on. */
  keep(tokenId: Uint8Array, dealId: Uint8Array, share: Uint8Array): Promise<void>;
  /** Undefined when it is not here. @throws IntercloudError SHARE_DAMAGED. */
  find(tokenId: Uint8Array, dealId: Uint8Array): Promise<Uint8Array | undefined>;
  remove(tokenId: Uint8Array, dealId: Uint8Array): Promise<void>;
  /** On all deals that the deposit is or was on. */
  removeAll(tokenId: Uint8Array): Promise<void>;
}

/** @param identitySeed the identity's private key; only a key derived from it is kept in memory. */
export function fileShares(directory: string, identitySeed: Uint8Array, entropy: Entropy): ShareStore {
  const key = sharesKey(identitySeed);
  return {
    async keep(tokenId, dealId, share) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const sealed = sealTo(key.publicKey, contextOf(tokenId, dealId), share, entropy);
      await writeFileAtomic(fileOf(directory, tokenId, dealId), sealed, 0o600);
    },
    async find(tokenId, dealId) {
      const file = fileOf(directory, tokenId, dealId);
      const sealed = await readFile(file).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      });
      return sealed === undefined ? undefined : openShare(key, contextOf(tokenId, dealId), sealed, file);
    },
    async remove(tokenId, dealId) {
      await rm(fileOf(directory, tokenId, dealId), { force: true });
    },
    async removeAll(tokenId) {
      const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return [];
        throw error;
      });
      const own = names.filter((name) => name.startsWith(hex(tokenId)));
      await Promise.all(own.map((name) => rm(path.join(directory, name), { force: true })));
    },
  };
}

/** Shares that live as long as the program, for one that keeps them itself. */
export function memoryShares(): ShareStore {
  const shares = new Map<string, Uint8Array>();
  return {
    keep: async (tokenId, dealId, share) => void shares.set(nameOf(tokenId, dealId), new Uint8Array(share)),
    async find(tokenId, dealId) {
      const share = shares.get(nameOf(tokenId, dealId));
      return share === undefined ? undefined : new Uint8Array(share);
    },
    remove: async (tokenId, dealId) => void shares.delete(nameOf(tokenId, dealId)),
    async removeAll(tokenId) {
      for (const name of [...shares.keys()]) if (name.startsWith(hex(tokenId))) shares.delete(name);
    },
  };
}

function openShare(key: AgreementKey, context: string, sealed: Uint8Array, file: string): Uint8Array {
  try {
    return new Uint8Array(openSealed(key, context, sealed));
  } catch (cause) {
    const message = `the share in ${file} is damaged or belongs to another identity; restore it from a copy of this home`;
    throw new IntercloudError("SHARE_DAMAGED", "damaged", message, {}, cause);
  }
}

function sharesKey(identitySeed: Uint8Array): AgreementKey {
  const seed = deriveKey(identitySeed, new Uint8Array(), "intercloud/client-shares/v1");
  try {
    return agreementKeyFromSeed(seed);
  } finally {
    seed.fill(0);
  }
}

/** Bound into the seal, so that a share cannot be put in the place of another. */
function contextOf(tokenId: Uint8Array, dealId: Uint8Array): string {
  return `intercloud/user-share/v1 ${nameOf(tokenId, dealId)}`;
}

function fileOf(directory: string, tokenId: Uint8Array, dealId: Uint8Array): string {
  return path.join(directory, `${nameOf(tokenId, dealId)}.share`);
}

function nameOf(tokenId: Uint8Array, dealId: Uint8Array): string {
  return `${hex(tokenId)}-${hex(dealId)}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
