import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { type PeerKind, signDescriptor } from "../../../protocols/identity/descriptor.ts";
import { writeDescriptor } from "../../../runtime/descriptor-file.ts";
import { systemEntropy } from "../../../runtime/entropy.ts";
import { readFederation } from "../../../runtime/federation.ts";
import { createFederationFile } from "../../../testnet/federation.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function descriptorFile(name: string, kind: PeerKind): Promise<string> {
  const file = path.join(directory, `${name}.json`);
  const agreementKey = newAgreementKey(systemEntropy).publicKey;
  const fields = { name, kind, agreementKey, addresses: ["/ip4/127.0.0.1/tcp/1"], duties: [], issuedAtMs: 1 };
  await writeDescriptor(file, signDescriptor(fields, newSigner(systemEntropy)));
  return file;
}

function create(descriptorFiles: readonly string[], passphrase?: string) {
  const keyFile = path.join(directory, "founder-key.json");
  const outputFile = path.join(directory, "federation.json");
  return createFederationFile({ name: "acme", descriptorFiles, keyFile, passphrase, outputFile });
}

test("members are sorted by kind, and the founder's key is kept for the next time", async () => {
  const files = [
    await descriptorFile("dealer-1", "dealer"),
    await descriptorFile("provider-1", "provider"),
    await descriptorFile("provider-2", "provider"),
  ];
  const first = await create(files);
  expect(first.providers.map(({ name }) => name)).toEqual(["provider-1", "provider-2"]);
  expect(first.dealers.map(({ name }) => name)).toEqual(["dealer-1"]);
  expect((await stat(path.join(directory, "founder-key.json"))).mode & 0o777).toBe(0o600);

  await create([...files, await descriptorFile("provider-3", "provider")]);
  const read = await readFederation(path.join(directory, "federation.json"), first.founder);
  expect(read.providers).toHaveLength(3);
});

test("a sealed founder's key needs its passphrase", async () => {
  const files = [await descriptorFile("provider-1", "provider")];
  await create(files, "open sesame");
  await expect(create(files, "closed sesame")).rejects.toMatchObject({ code: "WRONG_PASSPHRASE" });
  await expect(create(files)).rejects.toMatchObject({ code: "PASSPHRASE_NEEDED" });
});

test("a wrong member writes no federation", async () => {
  const file = await descriptorFile("provider-1", "provider");
  await expect(create([file, file])).rejects.toMatchObject({ code: "FEDERATION_DUPLICATE" });
  await expect(create([path.join(directory, "none.json")])).rejects.toMatchObject({ code: "DESCRIPTOR_MISSING" });
  expect(await readdir(directory)).not.toContain("federation.json");
});
