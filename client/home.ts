/**
 * A user's home folder (0700). Nothing else on the machine belongs to a client.
 *
 *   identity.json     the identity's key (runtime/key-file), sealed if a passphrase was given
 *   federation.json   the providers and dealers, as who runs the federation hands it out
 *   config.json       what `put` does when it is not told otherwise
 *   stock/            deals that were fetched ahead, sealed
 *   shares/           the user's shares of Protocol 2 deposits, sealed
 *   deposits/         names of deposited files, for `list`
 *   evidence/         what shows to anybody that a provider or dealer lied
 *   tmp/              nameless spool files
 */
import { mkdir, stat } from "node:fs/promises";
import path from "node:path";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import { type Signer, signerFromSeed } from "../protocols/crypto/signing.ts";
import type { DealStock } from "../protocols/dealing/stock.ts";
import type { SignedFederation } from "../protocols/identity/federation.ts";
import { identityOfKey } from "../protocols/identity/identity.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { createFileAtomic } from "../runtime/atomic-file.ts";
import { systemClock } from "../runtime/clock.ts";
import { systemEntropy } from "../runtime/entropy.ts";
import { readFederation, writeFederation } from "../runtime/federation.ts";
import { KEY_FILE_SEED_BYTES, readKeyFile, writeKeyFile } from "../runtime/key-file.ts";
import { type DepositChoice, type DepositSettings, withDefaults } from "./deposit-plan.ts";
import { type HomeConfig, readHomeConfig } from "./home-config.ts";
import { fileNotes, type Notes } from "./notes.ts";
import { fileShares, type ShareStore } from "./shares.ts";
import { fileStock } from "./stock.ts";

/** A home that is ready to be used. */
export interface Home {
  readonly directory: string;
  readonly identityKey: Signer;
  readonly federation: SignedFederation;
  readonly settings: DepositSettings;
  readonly shares: ShareStore;
  readonly stock: DealStock;
  readonly notes: Notes;
  readonly spoolDirectory: string;
  /** Where evidence against liars is kept. */
  readonly evidenceDirectory: string;
}

export interface CreateHomeOptions {
  readonly directory: string;
  readonly federation: SignedFederation;
  readonly settings?: DepositChoice;
  readonly entropy: Entropy;
  /** Seals the identity's key. */
  readonly passphrase?: string | undefined;
}

/** Makes a whole home with a new identity. @returns the identity. @throws IntercloudError KEY_FILE_EXISTS. */
export async function createHome(options: CreateHomeOptions): Promise<string> {
  const { directory, federation, settings, entropy, passphrase } = options;
  const identity = await createIdentity(directory, entropy, passphrase);
  await writeFederation(federationFile(directory), federation);
  const config: HomeConfig = { ...settings, founder: Buffer.from(federation.founder).toString("hex") };
  const text = `${JSON.stringify(config, null, 2)}\n`;
  await createFileAtomic(configFile(directory), Buffer.from(text), 0o600);
  return identity;
}

/** Makes the folder if it is missing, and a new identity in it. @throws IntercloudError KEY_FILE_EXISTS. */
export async function createIdentity(directory: string, entropy: Entropy, passphrase?: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const seed = entropy(KEY_FILE_SEED_BYTES);
  try {
    await writeKeyFile(identityFile(directory), seed, passphrase);
    return identityOfKey(signerFromSeed(seed).publicKey);
  } finally {
    seed.fill(0);
  }
}

export interface OpenHomeOptions {
  /** Opens the identity's key file, if it is sealed. */
  readonly passphrase?: string | undefined;
  readonly entropy?: Entropy;
  /** Told of what is wrong in the home and does not keep it from being used. */
  readonly onWarning?: ((code: string, message: string) => void) | undefined;
}

/** A few deposits in a row while every dealer is away; each deal waits at its providers for a day, used or not. */
const DEFAULT_STOCK = 3;

/** @throws IntercloudError NO_HOME, NO_FEDERATION, CONFIG_INVALID, and what reading the key file throws. */
export async function openHome(directory: string, options: OpenHomeOptions = {}): Promise<Home> {
  const { passphrase, entropy = systemEntropy, onWarning } = options;
  const onDamaged = (file: string, error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    onWarning?.("STOCK_DAMAGED", `${file} cannot be used, and nothing is lost by that: ${why}`);
  };
  const { federation, config } = await openFederation(directory);
  return await withIdentity(directory, passphrase, (identitySeed) => ({
    directory,
    identityKey: signerFromSeed(identitySeed),
    federation,
    settings: withDefaults(config, federation.providers.length),
    stock: fileStock({
      ...{ directory: path.join(directory, "stock"), identitySeed, size: config.stock ?? DEFAULT_STOCK },
      ...{ clock: systemClock, entropy, onDamaged },
    }),
    shares: fileShares(path.join(directory, "shares"), identitySeed, entropy),
    notes: fileNotes(path.join(directory, "deposits")),
    spoolDirectory: path.join(directory, "tmp"),
    evidenceDirectory: path.join(directory, "evidence"),
  }));
}

/** Lends the seed of the home's identity to `use` and wipes it. @throws IntercloudError NO_HOME. */
export async function withIdentity<T>(
  directory: string,
  passphrase: string | undefined,
  use: (seed: Uint8Array) => T | Promise<T>,
): Promise<T> {
  const file = identityFile(directory);
  if (!(await exists(file))) {
    const message =
      `there is no identity in ${directory}; make one with \`intercloud id new --home ${directory}\`, ` +
      "or name another home with --home or INTERCLOUD_HOME";
    throw new IntercloudError("NO_HOME", "refused", message);
  }
  const seed = await readKeyFile(file, passphrase);
  try {
    return await use(seed);
  } finally {
    seed.fill(0);
  }
}

/** The federation of this home, or undefined when there is no home, or none with a federation file. */
export async function findFederation(directory: string): Promise<SignedFederation | undefined> {
  return (await exists(federationFile(directory))) ? (await openFederation(directory)).federation : undefined;
}

async function openFederation(
  directory: string,
): Promise<{ readonly config: HomeConfig; readonly federation: SignedFederation }> {
  const config = (await exists(configFile(directory))) ? await readHomeConfig(configFile(directory)) : {};
  const file = federationFile(directory);
  if (!(await exists(file))) {
    // Without a home both are missing, and the identity is what comes first.
    if (!(await exists(identityFile(directory)))) await withIdentity(directory, undefined, () => undefined);
    const message = `this home has no federation file; get it from who runs the federation and copy it to ${file}`;
    throw new IntercloudError("NO_FEDERATION", "bad-request", message);
  }
  const founder = config.founder === undefined ? undefined : new Uint8Array(Buffer.from(config.founder, "hex"));
  return { config, federation: await readFederation(file, founder) };
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return false;
    throw error;
  }
}

function identityFile(directory: string): string {
  return path.join(directory, "identity.json");
}

function federationFile(directory: string): string {
  return path.join(directory, "federation.json");
}

function configFile(directory: string): string {
  return path.join(directory, "config.json");
}
