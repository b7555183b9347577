/** Makes a node's directory: a key file, a configuration, and the descriptor that goes into the federation. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { checkDescriptor, type SignedDescriptor, signDescriptor } from "../protocols/identity/descriptor.ts";
import { writeFileAtomic } from "../runtime/atomic-file.ts";
import { systemClock } from "../runtime/clock.ts";
import { requireDialable, requireMultiaddr, requireName } from "../runtime/descriptor-fields.ts";
import { writeDescriptor } from "../runtime/descriptor-file.ts";
import { systemEntropy } from "../runtime/entropy.ts";
import { KEY_FILE_SEED_BYTES, writeKeyFile } from "../runtime/key-file.ts";
import { CONFIG_FILE, DESCRIPTOR_FILE, DUTIES, KEY_FILE } from "./config.ts";
import { nodeKeys } from "./keys.ts";

export interface InitNodeOptions {
  /** Is made if it is not there. */
  readonly directory: string;
  /** Unique in the federation, such as `provider-1`. */
  readonly name: string;
  /** Multiaddrs. */
  readonly listen: readonly string[];
  /** Multiaddrs that others dial. Default: those listened on. */
  readonly announce?: readonly string[];
  /** Default 0: any free port. */
  readonly adminPort?: number;
  readonly duties?: readonly string[];
  /** Seals the key file. */
  readonly passphrase?: string | undefined;
}

/**
 * @throws IntercloudError KEY_FILE_EXISTS: a node is never made over another one; BAD_NAME, NO_ADDRESS, BAD_ADDRESS.
 */
export async function initNode(options: InitNodeOptions): Promise<{ readonly descriptor: SignedDescriptor }> {
  const { directory, name, listen, announce = [], adminPort = 0, duties = DUTIES, passphrase } = options;
  requireName(name);
  for (const address of [...listen, ...announce]) requireMultiaddr(address);
  const seed = systemEntropy(KEY_FILE_SEED_BYTES);
  const { signer, agreementKey } = nodeKeys(seed);
  const addresses = announce.length > 0 ? announce : listen;
  requireDialable(addresses, "say with --announce at which address others reach this node");
  const fields = { name, addresses, duties, agreementKey: agreementKey.publicKey, issuedAtMs: systemClock.nowMs() };
  const descriptor = checkDescriptor(signDescriptor({ kind: "provider", ...fields }, signer));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // The key file first: it is the one that is never overwritten.
  await writeKeyFile(path.join(directory, KEY_FILE), seed, passphrase);
  seed.fill(0);
  await writeDescriptor(path.join(directory, DESCRIPTOR_FILE), descriptor);
  const config = { name, listen, ...(announce.length > 0 && { announce }), duties, adminPort };
  const text = `${JSON.stringify(config, undefined, 2)}\n`;
  await writeFileAtomic(path.join(directory, CONFIG_FILE), Buffer.from(text), 0o600);
  return { descriptor };
}
