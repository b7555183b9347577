/** Puts the descriptors of a federation's members together into one file, signed by whoever founds it. */
import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { type Signer, signerFromSeed } from "../protocols/crypto/signing.ts";
import { type SignedFederation, signFederation } from "../protocols/identity/federation.ts";
import { readDescriptor } from "../runtime/descriptor-file.ts";
import { writeFederation } from "../runtime/federation.ts";
import { KEY_FILE_SEED_BYTES, readKeyFile, writeKeyFile } from "../runtime/key-file.ts";

export interface FederationFileOptions {
  readonly name: string;
  readonly descriptorFiles: readonly string[];
  /** The founder's key. Is made if it is not there, and kept for the day when members come or go. */
  readonly keyFile: string;
  readonly passphrase: string | undefined;
  /** Is replaced if it is there. */
  readonly outputFile: string;
}

/** @throws what reading a descriptor, the key file and `signFederation` throw; nothing is written then. */
export async function createFederationFile(options: FederationFileOptions): Promise<SignedFederation> {
  const { name, descriptorFiles, keyFile, passphrase, outputFile } = options;
  const descriptors = await Promise.all(descriptorFiles.map(readDescriptor));
  const members = {
    providers: descriptors.filter(({ kind }) => kind === "provider"),
    dealers: descriptors.filter(({ kind }) => kind === "dealer"),
  };
  const federation = signFederation({ name, ...members }, await founderKey(keyFile, passphrase));
  await writeFederation(outputFile, federation);
  return federation;
}

async function founderKey(keyFile: string, passphrase: string | undefined): Promise<Signer> {
  const isThere = await stat(keyFile).then(
    () => true,
    () => false,
  );
  const seed = isThere ? await readKeyFile(keyFile, passphrase) : new Uint8Array(randomBytes(KEY_FILE_SEED_BYTES));
  try {
    if (!isThere) await writeKeyFile(keyFile, seed, passphrase);
    return signerFromSeed(seed);
  } finally {
    seed.fill(0);
  }
}
