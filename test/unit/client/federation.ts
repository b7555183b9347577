/** A signed federation of peers that do not exist. */
import { randomBytes } from "node:crypto";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { type PeerKind, signDescriptor } from "../../../protocols/identity/descriptor.ts";
import { type SignedFederation, signFederation } from "../../../protocols/identity/federation.ts";

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));

export function testFederation(providers = 5): SignedFederation {
  const describe = (kind: PeerKind) => (_: unknown, index: number) =>
    signDescriptor(
      {
        name: `${kind}-${index + 1}`,
        kind,
        agreementKey: newAgreementKey(entropy).publicKey,
        addresses: ["/ip4/127.0.0.1/tcp/1"],
        duties: kind === "provider" ? ["custody"] : [],
        issuedAtMs: 1_700_000_000_000,
      },
      newSigner(entropy),
    );
  return signFederation(
    {
      name: "test",
      providers: Array.from({ length: providers }, describe("provider")),
      dealers: Array.from({ length: 1 }, describe("dealer")),
    },
    newSigner(entropy),
  );
}
