/** Makes a node's directory: a key file, a configuration, and the descriptor that goes into the federation. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { multiaddr } from "@multiformats/multiaddr";
import { checkDescriptor, type SignedDescriptor, signDescriptor } from "../protocols/identity/descriptor.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { writeFileAtomic } from "../runtime/atomic-file.ts";
import { systemClock } from "../runtime/clock.ts";
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
 * @throws IntercloudError KEY_FILE_EXISTS: a node is never made over another one; NO_ADDRESS, BAD_ADDRESS, and BAD_MESSAGE
 * for a bad name.
 */
export async function initNode(options: InitNodeOptions): Promise<{ readonly descriptor: SignedDescriptor }> {
  const { directory, name, listen, announce = [], adminPort = 0, duties = DUTIES, passphrase } = options;
  for (const address of [...listen, ...announce]) requireMultiaddr(address);
  const seed = systemEntropy(KEY_FILE_SEED_BYTES);
  const { signer, agreementKey } = nodeKeys(seed);
  const addresses = announce.length > 0 ? announce : listen;
  requireDialable(addresses);
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

function requireMultiaddr(address: string): void {
  try {
    multiaddr(address);
  } catch (cause) {
    const message = `"${address}" is not a multiaddr; write it as /ip4/192.0.2.1/tcp/4001`;
    throw new IntercloudError("BAD_ADDRESS", "bad-request", message, { address }, cause);
  }
}

/** What is in the descriptor is what others dial: a wildcard or a port that is not known yet helps nobody. */
function requireDialable(addresses: readonly string[]): void {
  const bad = addresses.find((address) => /^\/ip4\/0\.0\.0\.0\/|^\/ip6\/::\/|\/(tcp|udp)\/0(\/|$)/.test(address));
  if (addresses.length > 0 && bad === undefined) return;
  const what = bad === undefined ? "no address is given" : `nobody can dial ${bad}`;
  const message = `${what}; say with --announce at which address others reach this node`;
  throw new IntercloudError("NO_ADDRESS", "bad-request", message, { address: bad });
}
