/** What this node says of itself: the descriptor that the others dial it by. */
import { type SignedDescriptor, signDescriptor } from "../protocols/identity/descriptor.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { readDescriptor, writeDescriptor } from "../runtime/descriptor-file.ts";
import type { NodeConfig } from "./config.ts";
import type { NodeKeys } from "./keys.ts";

export interface SelfOptions {
  /** `descriptor.json`: what we said last. */
  readonly file: string;
  readonly config: Pick<NodeConfig, "announce" | "duties">;
  readonly keys: NodeKeys;
  /** Our entry in the federation. */
  readonly member: SignedDescriptor;
  /** Where we really listen, without our peer's name. */
  readonly listening: readonly string[];
  readonly nowMs: number;
}

/**
 * What we said last, if it is still true; otherwise a new descriptor, which replaces it in the file. It is never older than
 * the last one, because the others would not take it.
 */
export async function currentDescriptor(options: SelfOptions): Promise<SignedDescriptor> {
  const { file, config, keys, member } = options;
  const addresses = config.announce.length > 0 ? config.announce : options.listening;
  const last = await lastDescriptor(file, member);
  const same = last.addresses.join() === addresses.join() && last.duties.join() === config.duties.join();
  if (same && last.name === member.name) return last;
  const issuedAtMs = Math.max(options.nowMs, last.issuedAtMs + 1);
  const fields = { name: member.name, addresses, duties: config.duties, issuedAtMs };
  const descriptor = signDescriptor(
    { ...fields, kind: "provider", agreementKey: keys.agreementKey.publicKey },
    keys.signer,
  );
  await writeDescriptor(file, descriptor);
  return descriptor;
}

async function lastDescriptor(file: string, member: SignedDescriptor): Promise<SignedDescriptor> {
  try {
    const last = await readDescriptor(file);
    if (last.peer === member.peer && last.issuedAtMs >= member.issuedAtMs) return last;
  } catch (error) {
    if (!(error instanceof IntercloudError)) throw error; // lost or spoilt: it can be written again
  }
  return member;
}
