import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { signerFromSeed } from "../../../protocols/crypto/signing.ts";
import {
  checkDescriptor,
  descriptorBytes,
  type PeerKind,
  type SignedDescriptor,
  signDescriptor,
} from "../../../protocols/identity/descriptor.ts";
import {
  checkFederation,
  memberNamed,
  memberWithPeer,
  type SignedFederation,
  signFederation,
} from "../../../protocols/identity/federation.ts";
import { formatFederation, parseFederation, readFederation, writeFederation } from "../../../runtime/federation.ts";
import { newFolder, removeFolders } from "./folder.ts";

afterEach(removeFolders);

const seedOf = (text: string) => new Uint8Array(createHash("sha256").update(text).digest());
const founder = signerFromSeed(seedOf("founder"));

function member(name: string, kind: PeerKind, changes: Partial<SignedDescriptor> = {}): SignedDescriptor {
  const fields = {
    name,
    kind,
    agreementKey: seedOf(`agreement ${name}`),
    addresses: ["/ip4/127.0.0.1/tcp/4001", "/dns4/example.org/tcp/4001"],
    duties: kind === "provider" ? ["custody", "relay"] : [],
    issuedAtMs: 1_700_000_000_000,
    ...changes,
  };
  return signDescriptor(fields, signerFromSeed(seedOf(name)));
}

const providers = ["provider-1", "provider-2", "provider-3"].map((name) => member(name, "provider"));
const dealers = [member("dealer-1", "dealer")];
const federation = () => signFederation({ name: "home", providers, dealers }, founder);

describe("a descriptor", () => {
  test("is checked with the key in its peer name", () => {
    const descriptor = member("provider-1", "provider");
    expect(checkDescriptor(structuredClone(descriptor))).toEqual(descriptor);
    expect(descriptor.peer).toBe(peerNameOf(signerFromSeed(seedOf("provider-1")).publicKey));
  });

  test.each([
    ["name", { name: "provider-9" }],
    ["agreementKey", { agreementKey: seedOf("another") }],
    ["addresses", { addresses: ["/ip4/10.0.0.1/tcp/1"] }],
    ["duties", { duties: ["escrow"] }],
    ["kind", { kind: "dealer" }],
    ["issuedAtMs", { issuedAtMs: 1 }],
    ["peer", { peer: peerNameOf(founder.publicKey) }],
  ])("with another %s is refused", (_, change) => {
    const descriptor = { ...member("provider-1", "provider"), ...change };
    expect(() => checkDescriptor(descriptor)).toThrow(expect.objectContaining({ code: "DESCRIPTOR_BAD_SIGNATURE" }));
  });

  test.each([
    ["an unknown field", { extra: 1 }],
    ["a wrong version", { version: 2 }],
    ["a bad name", { name: "Provider 1" }],
    ["a bad peer", { peer: "12D3" }],
    ["a short key", { agreementKey: new Uint8Array(31) }],
    ["an address that is none", { addresses: ["127.0.0.1:80"] }],
    ["too many addresses", { addresses: Array.from({ length: 17 }, () => "/ip4/127.0.0.1/tcp/1") }],
    ["a negative time", { issuedAtMs: -1 }],
  ])("with %s is refused", (_, change) => {
    const descriptor = { ...member("provider-1", "provider"), ...change };
    expect(() => checkDescriptor(descriptor)).toThrow(expect.objectContaining({ code: "BAD_MESSAGE" }));
  });

  test("has one canonical form, whatever the order of its fields", () => {
    const { signature, ...unsigned } = member("provider-1", "provider");
    expect(signature.length).toBe(64);
    const turned = Object.fromEntries(Object.entries(unsigned).reverse()) as unknown as typeof unsigned;
    expect(descriptorBytes(turned)).toEqual(descriptorBytes(unsigned));
  });
});

describe("a federation", () => {
  test("is found by name and by peer", () => {
    const signed = federation();
    expect(memberNamed(signed, "provider-2")).toEqual(providers[1]);
    expect(memberNamed(signed, "dealer-1")).toEqual(dealers[0]);
    expect(memberNamed(signed, "nobody")).toBeUndefined();
    expect(memberWithPeer(signed, providers[2]?.peer ?? "")).toEqual(providers[2]);
    expect(memberWithPeer(signed, "nobody")).toBeUndefined();
  });

  test.each<[string, (whole: SignedFederation) => SignedFederation]>([
    ["its name", (whole) => ({ ...whole, name: "other" })],
    ["a member left out", (whole) => ({ ...whole, providers: whole.providers.slice(1) })],
    ["a member more", (whole) => ({ ...whole, providers: [...whole.providers, member("provider-4", "provider")] })],
    ["the order", (whole) => ({ ...whole, providers: whole.providers.toReversed() })],
    ["another founder's key", (whole) => ({ ...whole, founder: signerFromSeed(seedOf("other")).publicKey })],
    [
      "a member's newer descriptor",
      (whole) => ({ ...whole, dealers: [member("dealer-1", "dealer", { issuedAtMs: 1_800_000_000_000 })] }),
    ],
    [
      "a member's signature",
      (whole) => ({ ...whole, dealers: whole.dealers.map((one) => ({ ...one, duties: ["x"] })) }),
    ],
  ])("with a change of %s is refused", (_, change) => {
    const changed = change(federation());
    expect(() => checkFederation(changed)).toThrow(expect.objectContaining({ code: "FEDERATION_BAD_SIGNATURE" }));
  });

  test("of another founder than the trusted one is refused", () => {
    const other = signerFromSeed(seedOf("other"));
    const signed = federation();
    expect(checkFederation(signed, founder.publicKey)).toEqual(signed);
    expect(() => checkFederation(signed, other.publicKey)).toThrow(
      expect.objectContaining({ code: "FEDERATION_BAD_SIGNATURE", status: "integrity" }),
    );
  });

  test("cannot have two members of one name, peer or agreement key", () => {
    const twin = signDescriptor(member("provider-1", "provider"), signerFromSeed(seedOf("twin")));
    const samePeer = signDescriptor(
      { ...member("other", "provider"), name: "other", agreementKey: seedOf("x") },
      signerFromSeed(seedOf("provider-1")),
    );
    const sameKey = member("other", "provider", { agreementKey: providers[0]?.agreementKey ?? seedOf("") });
    for (const one of [twin, samePeer, sameKey]) {
      expect(() => signFederation({ name: "home", providers: [...providers, one], dealers }, founder)).toThrow(
        expect.objectContaining({ code: "FEDERATION_DUPLICATE" }),
      );
    }
  });

  test("keeps providers and dealers apart", () => {
    expect(() => signFederation({ name: "home", providers: dealers, dealers: [] }, founder)).toThrow(
      expect.objectContaining({ code: "FEDERATION_MALFORMED", details: { entry: "providers.0.kind" } }),
    );
    expect(() => signFederation({ name: "home", providers: [], dealers: providers }, founder)).toThrow(
      expect.objectContaining({ code: "FEDERATION_MALFORMED", details: { entry: "dealers.0.kind" } }),
    );
  });
});

describe("federation.json", () => {
  test("is read back as it was written", async () => {
    const path = join(await newFolder(), "federation.json");
    await writeFederation(path, federation());
    expect(await readFederation(path, founder.publicKey)).toEqual(federation());
    const text = await readFile(path, "utf8");
    expect(text).toContain(Buffer.from(founder.publicKey).toString("hex"));
  });

  test("keys that are Buffers are written like others", () => {
    const whole = federation();
    const buffered = {
      ...whole,
      founder: Buffer.from(whole.founder),
      dealers: whole.dealers.map((one) => ({ ...one, agreementKey: Buffer.from(one.agreementKey) })),
    };
    expect(formatFederation(buffered)).toBe(formatFederation(whole));
  });

  test.each<[string, (text: string) => string, string, string]>([
    ["is not JSON", (text) => text.slice(1), "FEDERATION_MALFORMED", "(whole)"],
    ["has an unknown field", (text) => text.replace("{", '{"extra": 1,'), "FEDERATION_MALFORMED", "extra"],
    [
      "has a bad key",
      (text) => text.replace(/"agreementKey": "../, '"agreementKey": "zz'),
      "FEDERATION_MALFORMED",
      "providers.0.agreementKey",
    ],
    [
      "has a short key",
      (text) => text.replace(/"agreementKey": "../, '"agreementKey": "'),
      "FEDERATION_MALFORMED",
      "providers.0.agreementKey",
    ],
    ["misses a list", (text) => text.replace('"dealers"', '"dealrs"'), "FEDERATION_MALFORMED", "dealers"],
  ])("that %s is refused and the entry named", (_, change, code, entry) => {
    const text = formatFederation(federation());
    expect(() => parseFederation(change(text))).toThrow(expect.objectContaining({ code, details: { entry } }));
  });

  test("that was changed is refused", () => {
    const text = formatFederation(federation()).replace("/tcp/4001", "/tcp/4002");
    expect(() => parseFederation(text)).toThrow(expect.objectContaining({ code: "FEDERATION_BAD_SIGNATURE" }));
  });

  test("that is missing or far too long is refused", async () => {
    const path = join(await newFolder(), "federation.json");
    await expect(readFederation(path)).rejects.toMatchObject({ code: "FEDERATION_MISSING", status: "not-found" });
    await writeFile(path, " ".repeat(5_000_000));
    await expect(readFederation(path)).rejects.toMatchObject({ code: "FEDERATION_MALFORMED" });
  });
});
