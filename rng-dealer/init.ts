/** Makes a dealer's directory: a key file, a configuration, and the descriptor that goes into the federation. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { checkDescriptor, type SignedDescriptor, signDescriptor } from "../protocols/identity/descriptor.ts";
import { writeFileAtomic } from "../runtime/atomic-file.ts";
import { systemClock } from "../runtime/clock.ts";
import { requireDialable, requireMultiaddr, requireName } from "../runtime/descriptor-fields.ts";
import { writeDescriptor } from "../runtime/descriptor-file.ts";
import { systemEntropy } from "../runtime/entropy.ts";
import { KEY_FILE_SEED_BYTES, writeKeyFile } from "../runtime/key-file.ts";
import { CONFIG_FILE, DESCRIPTOR_FILE, KEY_FILE } from "./config.ts";
import { dealerKeys } from "./keys.ts";

export interface InitDealerOptions {
  /** Is made if it is not there. */
  readonly directory: string;
  /** Unique in the federation, such as `dealer-1`. */
  readonly name: string;
  /** Multiaddrs with fixed ports; others find the dealer there. */
  readonly listen: readonly string[];
  /** Default 0: any free port. */
  readonly adminPort?: number;
  /** Seals the key file. */
  readonly passphrase?: string | undefined;
}

/** @throws IntercloudError KEY_FILE_EXISTS: a dealer is never made over another one; BAD_NAME, BAD_ADDRESS, NO_ADDRESS. */
export async function initDealer(options: InitDealerOptions): Promise<{ readonly descriptor: SignedDescriptor }> {
  const { directory, name, listen, adminPort = 0, passphrase } = options;
  requireName(name);
  for (const address of listen) requireMultiaddr(address);
  requireDialable(listen, "name with --listen the address and port at which others reach this dealer");
  const seed = systemEntropy(KEY_FILE_SEED_BYTES);
  const { signer, agreementKey } = dealerKeys(seed);
  const descriptor = checkDescriptor(
    signDescriptor(
      {
        name,
        kind: "dealer",
        agreementKey: agreementKey.publicKey,
        addresses: listen,
        duties: [],
        issuedAtMs: systemClock.nowMs(),
      },
      signer,
    ),
  );
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // The key file first: it is the one that is never overwritten.
  await writeKeyFile(path.join(directory, KEY_FILE), seed, passphrase);
  seed.fill(0);
  await writeDescriptor(path.join(directory, DESCRIPTOR_FILE), descriptor);
  const config = { name, listen, adminPort };
  const text = `${JSON.stringify(config, undefined, 2)}\n`;
  await writeFileAtomic(path.join(directory, CONFIG_FILE), Buffer.from(text), 0o600);
  return { descriptor };
}
