/** The federation as the node needs it: read at start, and refused when it cannot be used or we are not in it. */

import { checkDescriptor, type SignedDescriptor } from "../protocols/identity/descriptor.ts";
import { memberWithPeer, type SignedFederation } from "../protocols/identity/federation.ts";
import { decodeCanonical, encodeCanonical } from "../protocols/wire/codec.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import { readFederation } from "../runtime/federation.ts";
import type { NodeConfig } from "./config.ts";

/** @throws IntercloudError NO_FEDERATION, NOT_IN_FEDERATION, and what `readFederation` throws for a file that is not valid. */
export async function openFederation(
  { federationFile, founder }: Pick<NodeConfig, "federationFile" | "founder">,
  self: PeerName,
): Promise<{ readonly federation: SignedFederation; readonly member: SignedDescriptor }> {
  const founderKey = founder === "" ? undefined : new Uint8Array(Buffer.from(founder, "hex"));
  const federation = await readFederation(federationFile, founderKey).catch((error: unknown) => {
    throw error instanceof IntercloudError && error.code === "FEDERATION_MISSING"
      ? noFederation(federationFile, error)
      : error;
  });
  const member = memberWithPeer(federation, self);
  if (member?.kind !== "provider") throw notInFederation(federationFile, self);
  return { federation, member };
}

/** A descriptor as the DHT carries it. */
export function encodeDescriptor(descriptor: SignedDescriptor): Uint8Array {
  return encodeCanonical({ ...descriptor });
}

/** @throws IntercloudError for anything but a descriptor that its peer signed. */
export function decodeDescriptor(bytes: Uint8Array): SignedDescriptor {
  return checkDescriptor(decodeCanonical(bytes));
}

function noFederation(file: string, cause: unknown): IntercloudError {
  const message =
    `there is no federation file at ${file}: give this node's descriptor.json to who runs the federation, and put the ` +
    "federation.json that you get back there (`intercloud federation create` makes one)";
  return new IntercloudError("NO_FEDERATION", "bad-request", message, { file }, cause);
}

function notInFederation(file: string, self: PeerName): IntercloudError {
  const message =
    `this node (${self}) is not a provider of the federation in ${file}: have its descriptor.json added there, ` +
    "or point federationFile at the right one";
  return new IntercloudError("NOT_IN_FEDERATION", "bad-request", message, { file, peer: self });
}
