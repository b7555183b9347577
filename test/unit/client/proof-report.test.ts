/** Proofs of a real deposit, whole and tampered with. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { COMMAND_TABLE } from "../../../bin/commands.ts";
import { neededText } from "../../../client/commands/proof-text.ts";
import { reportProof } from "../../../client/proof-report.ts";
import { type Signer, signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { chainDigest, encodeProof, type Proof, readProof } from "../../../protocols/custody/proof.ts";
import { signRequest } from "../../../protocols/identity/index.ts";
import { encodeLink, readLink, signLink } from "../../../protocols/tokens/link.ts";
import { decodeCanonical } from "../../../protocols/wire/codec.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld } from "../../support/custody-world.ts";
import { runLine } from "../cli/harness.ts";
import { testFolder } from "./folder.ts";

const folder = await testFolder();
const world = await createWorld({ providers: 4 });
afterAll(() => world.close());
const members = world.user.directory;
const { proof, tokenText } = await world.put(bytesOf(5_000, 1), { threshold: 2 });
const { proof: fanoutProof } = await world.put(bytesOf(5_000, 1), { threshold: 2, route: "fanout" });

/** The same proof with other links, accepted by the owner as it would accept what it is shown. */
function withLinks(bytes: Uint8Array, change: (links: Uint8Array[]) => void): Uint8Array {
  const read = decodeCanonical(bytes) as unknown as Proof;
  const links = [...read.links];
  change(links);
  const { terms, digestFromOwner } = readProof(bytes);
  const content = {
    ...{ tokenId: terms.tokenId, digestFromOwner, chainDigest: chainDigest(links, read.keeping) },
    ...{ boxes: [], envelope: null },
  };
  const { session, clock, entropy } = world.user;
  const closing = signRequest({
    session,
    purpose: "deposit",
    content,
    nowMs: clock.nowMs(),
    lifetimeMs: 60_000,
    entropy,
  });
  return encodeProof({ ...read, links, closing });
}

function resigned(link: Uint8Array, changed: object, signer: Signer): Uint8Array {
  return signLink(encodeLink({ ...readLink(link).statement, ...changed }), signer);
}

test("a whole proof: every link in order, and everybody known", () => {
  const report = reportProof(proof, members);
  expect(report).toMatchObject({ valid: true, token: tokenText, providers: 4, threshold: 2, lengthBytes: 5_000 });
  expect(report.links.map(({ index, provider, valid }) => [index, provider, valid])).toEqual([
    [1, "provider-1", true],
    [2, "provider-2", true],
    [3, "provider-3", true],
    [4, "provider-4", true],
  ]);
  for (const [i, link] of report.links.slice(1).entries()) expect(link.digestIn).toBe(report.links[i]?.digestOut);
  expect(report.firstBreak).toBeNull();
  expect(report.federation).toEqual({ valid: true, strangers: [] });
  expect(reportProof(fanoutProof, members)).toMatchObject({ valid: true, route: "fanout" });
});

test("without a federation file the signatures are checked, and nobody has a name", () => {
  const report = reportProof(proof, undefined);
  expect(report).toMatchObject({ valid: true, federation: null });
  expect(report.links.map(({ provider }) => provider)).toEqual([null, null, null, null]);
});

test("a dealer or provider that is not of our federation makes it invalid", () => {
  const stranger = world.providers[2]!.peer;
  const others = { ...members, providers: members.providers.filter((peer) => peer !== stranger), dealers: [] };
  expect(reportProof(proof, others)).toMatchObject({
    ...{ valid: false, federation: { valid: false, strangers: [stranger, world.dealer] }, firstBreak: null },
  });
});

test("a break between two providers shows what each of them signed", () => {
  const broken = withLinks(proof, (links) => {
    links[2] = resigned(links[2]!, { digestIn: bytesOf(32, 9) }, world.providers[2]!.signer);
  });
  const { valid, links, firstBreak } = reportProof(broken, members);
  expect(valid).toBe(false);
  expect(firstBreak).toMatchObject({
    index: 3,
    suspects: [{ provider: "provider-2" }, { provider: "provider-3" }],
    signed: [
      { by: { provider: "provider-2" }, says: "went out", digest: links[1]?.digestOut },
      { by: { provider: "provider-3" }, says: "came in", digest: Buffer.from(bytesOf(32, 9)).toString("hex") },
    ],
  });
});

test("a break between the owner and home, and one between a provider and home at the end", () => {
  const first = withLinks(proof, (links) => {
    links[0] = resigned(links[0]!, { digestIn: bytesOf(32, 9) }, world.providers[0]!.signer);
  });
  expect(reportProof(first, members).firstBreak).toMatchObject({
    ...{ index: 1, suspects: [{ peer: "owner", provider: null }, { provider: "provider-1" }] },
    signed: [{ by: { peer: "owner" } }, { by: { provider: "provider-1" } }],
  });
  const last = withLinks(fanoutProof, (links) => {
    const resign = (i: number, changed: object) => {
      const previous = i === 0 ? {} : { previous: readLink(links[i - 1]!).digest };
      links[i] = resigned(links[i]!, { ...previous, ...changed }, world.providers[i]!.signer);
    };
    resign(1, { digestOut: bytesOf(32, 9) });
    resign(2, {});
    resign(3, {});
  });
  expect(reportProof(last, members).firstBreak?.index).toBe(5);
});

test("a signature of somebody else has one suspect and nothing to compare", () => {
  const broken = withLinks(proof, (links) => {
    links[1] = resigned(links[1]!, {}, signerFromSeed(bytesOf(32, 5)));
  });
  expect(reportProof(broken, members).firstBreak).toMatchObject({
    ...{ index: 2, suspects: [{ provider: "provider-2" }], signed: [] },
  });
});

test("a flipped bit anywhere is noticed", () => {
  for (let at = 0; at < proof.length; at += 97) {
    const flipped = proof.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    let valid = false;
    try {
      valid = reportProof(flipped, members).valid;
    } catch (error) {
      expect(error).toMatchObject({ code: "PROOF_BROKEN", status: "integrity" });
    }
    expect(valid, `byte ${at}`).toBe(false);
  }
});

test("verify and trace of a file need no home and no network, and a broken chain is exit code 5", async () => {
  const empty = path.join(folder, "empty");
  await mkdir(empty);
  const good = path.join(folder, "good.proof");
  await writeFile(good, proof);
  const broken = path.join(folder, "broken.proof");
  await writeFile(
    broken,
    withLinks(proof, (links) => {
      links[2] = resigned(links[2]!, { digestIn: bytesOf(32, 9) }, world.providers[2]!.signer);
    }),
  );
  const run = (...argv: string[]) => runLine(COMMAND_TABLE, [...argv, "--home", empty]);

  const traced = await run("trace", good, "--json");
  expect(traced).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(traced.stdout).links.map((link: { valid: boolean }) => link.valid)).toEqual(Array(4).fill(true));
  expect((await run("trace", good)).stdout).toContain("the chain is whole");
  const verified = await run("verify", good);
  expect(verified.exitCode).toBe(0);
  expect(verified.stdout).toMatch(/verdict +valid\n/);
  expect(verified.stdout).toContain("there is no federation file here");

  const brokenTrace = await run("trace", broken, "--json");
  expect(brokenTrace.exitCode).toBe(5);
  expect(JSON.parse(brokenTrace.stdout)).toMatchObject({ valid: false, firstBreak: { index: 3 } });
  expect(JSON.parse(brokenTrace.stderr)).toMatchObject({ error: { code: "CHAIN_BROKEN" } });
  const text = await run("trace", broken);
  expect(text.stdout).toMatch(/^3 .*BROKEN/m);
  expect(text.stdout).toMatch(/signed that [0-9a-f]{12} went out\n.*signed that [0-9a-f]{12} came in/);
  expect((await run("verify", broken)).exitCode).toBe(5);

  await writeFile(good, proof.subarray(0, -1));
  expect(await run("verify", good)).toMatchObject({ exitCode: 5, stdout: "" });
  expect((await run("verify", path.join(folder, "none"))).exitCode).toBe(2);
  expect((await run("verify", folder)).exitCode).toBe(2);
});

test("what a deposit needs to be read depends on its protocol", async () => {
  const whatItNeeds = async (protocol: 1 | 2 | 3) => {
    const made = await world.put(bytesOf(100, 2), { protocol, threshold: 3, copies: 2 });
    return neededText(reportProof(made.proof, members));
  };
  expect(await whatItNeeds(1)).toBe("this identity and 1 of the 2 that keep the ciphertext");
  expect(await whatItNeeds(2)).toBe("this home's share and 2 of 4 providers");
  expect(await whatItNeeds(3)).toBe("3 of 4 providers");
});

test("what a deposit needs to be read is said of where it is now", () => {
  const report = reportProof(proof, members);
  const place = { ...report.place, threshold: 5, copies: 1, providers: ["a", "b", "c", "d", "e", "f"] };
  const texts = ([1, 2, 3] as const).map((protocol) => neededText({ protocol, place }));
  expect(texts).toEqual([
    "this identity and 1 of the 1 that keep the ciphertext",
    "this home's share and 4 of 6 providers",
    "5 of 6 providers",
  ]);
});

test("random bytes are no proof", () => {
  expect(() => reportProof(new Uint8Array(randomBytes(2_000)), members)).toThrow(
    expect.objectContaining({ code: "PROOF_BROKEN" }),
  );
});
