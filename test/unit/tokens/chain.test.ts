import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { peerIdentity } from "../../../protocols/crypto/peer-name.ts";
import { type Signer, signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { checkChain, checkLinks } from "../../../protocols/tokens/chain.ts";
import {
  encodeLink,
  type Keeping,
  type Link,
  readKeeping,
  readLink,
  signLink,
} from "../../../protocols/tokens/link.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { flipBit, fromHex, loadVectors, toHex } from "../../support/vectors.ts";
import { type Changes, digest, type MadeChain, makeChain, passed, type Route, roster, signers } from "./chains.ts";

const golden = loadVectors<{
  vectors: {
    route: Route;
    seeds: string[];
    roster: string[];
    tokenId: string;
    manifestDigest: string;
    digestFromOwner: string;
    links: string[];
    keeping: string;
  }[];
}>("chain/golden").vectors;

const [p1, p2, p3, p4] = roster as [string, string, string, string];
const [s1, , s3] = signers as [Signer, Signer, Signer, Signer];
const N = roster.length;
const ROUTES = ["chain", "fanout"] as const;

const check = ({ expected, links, keeping }: MadeChain) => checkChain(expected, links, keeping);

/** Where it breaks first, and who it can be. */
function expectBreak(chain: MadeChain, index: number, suspects: readonly string[], problem?: string) {
  const report = check(chain);
  expect(report.firstBreak).toEqual({
    index,
    suspects,
    problem: problem === undefined ? expect.any(String) : expect.stringContaining(problem),
  });
  expect(report.valid).toBe(false);
  for (const link of report.links.slice(0, index - 1)) expect(link).toMatchObject({ valid: true, problem: undefined });
  if (index <= N) expect(report.links[index - 1]).toMatchObject({ valid: false, problem: report.firstBreak?.problem });
}

describe.each(golden)("the golden chain in the route $route", (vector) => {
  const links = vector.links.map(fromHex);
  const expected = {
    tokenId: fromHex(vector.tokenId),
    manifestDigest: fromHex(vector.manifestDigest),
    roster: vector.roster,
    route: vector.route,
    digestFromOwner: fromHex(vector.digestFromOwner),
  };

  it("is valid", () => {
    const report = checkChain(expected, links, fromHex(vector.keeping));
    expect(report).toMatchObject({ valid: true, firstBreak: undefined });
    expect(report.links.map(({ index, peer, valid }) => [index, peer, valid])).toEqual(
      vector.roster.map((peer, i) => [i + 1, peer, true]),
    );
    expect(report.keeping?.peer).toBe(vector.roster[0]);
  });

  it("is what we sign", () => {
    for (const [i, link] of links.entries()) {
      const { statement, signatureValid } = readLink(link);
      expect(signatureValid).toBe(true);
      const signer = signerFromSeed(fromHex(vector.seeds[i] as string));
      expect(toHex(signLink(encodeLink(statement), signer))).toBe(vector.links[i]);
    }
  });
});

describe.each(ROUTES)("in the route %s", (route) => {
  const good = makeChain(route);
  const broken = (changes: Changes) => makeChain(route, changes);

  it("a good chain is valid, also before the owner has said what it sent", () => {
    expect(check(good)).toMatchObject({ valid: true, firstBreak: undefined });
    const { expected, links, keeping } = good;
    expect(checkChain({ ...expected, digestFromOwner: undefined }, links, keeping).valid).toBe(true);
  });

  it.each([1, 2, 3, 4])("link %i is missing", (number) => {
    const links = good.links.filter((_, i) => i !== number - 1);
    expectBreak({ ...good, links }, number, [roster[number - 1] as string]);
  });

  it.each([0, 1, 2, 3])("the chain ends after %i links", (count) => {
    const links = good.links.slice(0, count);
    expectBreak({ ...good, links }, count + 1, [roster[count] as string], "missing");
  });

  it.each([
    [1, 2],
    [2, 3],
    [1, 4],
  ])("links %i and %i are exchanged", (a, b) => {
    const links = [...good.links];
    [links[a - 1], links[b - 1]] = [links[b - 1] as Uint8Array, links[a - 1] as Uint8Array];
    expectBreak({ ...good, links }, a, [roster[a - 1] as string], "not this provider's");
  });

  it("a link stands twice, in the place of another", () => {
    const links = good.links.map((link, i) => (i === 2 ? (good.links[1] as Uint8Array) : link));
    expectBreak({ ...good, links }, 3, [p3], "not this provider's");
  });

  it("there is a link too many", () => {
    expectBreak({ ...good, links: [...good.links, good.links[3] as Uint8Array] }, N + 1, [], "more links");
  });

  it.each<[string, Partial<Link>, Signer | undefined]>([
    ["another peer in this place", { peer: p3, identity: peerIdentity(p3) }, s3],
    ["the identity of another peer", { identity: peerIdentity(p3) }, undefined],
    ["a named identity", { identity: "cloud:acme-eu" }, undefined],
    ["another index", { index: 3 }, undefined],
  ])("a link has %s", (_, change, signer) => {
    const signedBy = signer === undefined ? {} : { 2: signer };
    expectBreak(broken({ links: { 2: change }, signedBy }), 2, [p2], "not this provider's");
  });

  it.each([1, 2, 4])("link %i is signed by somebody else", (number) => {
    expectBreak(broken({ signedBy: { [number]: s3 } }), number, [roster[number - 1] as string], "signature");
  });

  it("a link is signed as something else", () => {
    const { body } = decodeCanonical(good.links[1] as Uint8Array) as { body: Uint8Array };
    const signature = (signers[1] as Signer).sign("intercloud/keeping/v1", body);
    const links = good.links.map((link, i) => (i === 1 ? encodeCanonical({ body, signature }) : link));
    expectBreak({ ...good, links }, 2, [p2], "signature");
  });

  it.each([1, 3, 4])("link %i is of another deposit", (number) => {
    const chain = broken({ links: { [number]: { tokenId: digest("other") } } });
    expectBreak(chain, number, [roster[number - 1] as string], "another deposit");
  });

  it("links of two deposits are exchanged", () => {
    const other = makeChain(route, { tokenId: digest("other") });
    const links = good.links.map((link, i) => (i === 1 ? (other.links[1] as Uint8Array) : link));
    expectBreak({ ...good, links }, 2, [p2], "another deposit");
    expectBreak({ ...good, links: other.links }, 1, [p1], "another deposit");
    expectBreak({ ...good, keeping: other.keeping }, N + 1, [p1], "for this deposit");
  });

  it("the first link names another manifest", () => {
    expectBreak(broken({ links: { 1: { previous: digest("other") } } }), 1, [p1], "does not follow");
  });

  it.each([2, 3, 4])("link %i follows another statement: who made it, or who said so", (number) => {
    const chain = broken({ links: { [number]: { previous: digest("other") } } });
    const teller = route === "chain" ? roster[number - 2] : p1;
    expectBreak(chain, number, [teller as string, roster[number - 1] as string], "does not follow");
  });

  it("a provider has signed two statements, and the second one is in the chain", () => {
    const second = makeChain(route, { startMs: 1_700_000_999_000 });
    const links = good.links.map((link, i) => (i === 1 ? (second.links[1] as Uint8Array) : link));
    // link 2 does not follow link 1 either: each pair of neighbours disagrees
    expectBreak({ ...good, links }, 2, [p1, p2], "does not follow");
    const twice = makeChain(route, { links: { 2: { timeMs: 1 } } });
    const swapped = good.links.map((link, i) => (i === 1 ? (twice.links[1] as Uint8Array) : link));
    expectBreak({ ...good, links: swapped }, 3, route === "chain" ? [p2, p3] : [p1, p3], "does not follow");
  });

  it("the last provider has signed two statements", () => {
    const twice = makeChain(route, { links: { 4: { timeMs: 1 } } });
    const links = good.links.map((link, i) => (i === 3 ? (twice.links[3] as Uint8Array) : link));
    expectBreak({ ...good, links }, N + 1, route === "chain" ? [p4, p1] : [p1], "does not follow the last");
  });

  it.each<[string, Partial<Keeping>, readonly string[], string]>([
    ["is of another deposit", { tokenId: digest("other") }, [p1], "for this deposit"],
    ["names another home", { peer: p2 }, [p1], "not signed by home"],
    ["has received something else from the owner", { digestFromOwner: digest("x") }, ["owner", p1], "the owner says"],
    ["counts two digests", { digestsReceived: [digest("x"), digest("y")] }, [p1], "wrong number"],
    ["counts one digest too many", { digestsReceived: [0, 1, 2, 3, 4].map(passed) }, [p1], "wrong number"],
  ])("home's closing statement %s", (_, keeping, suspects, problem) => {
    expectBreak(broken({ keeping }), N + 1, suspects, problem);
  });

  it("home's closing statement does not follow the last link", () => {
    const suspects = route === "chain" ? [p4, p1] : [p1];
    expectBreak(broken({ keeping: { previous: digest("other") } }), N + 1, suspects, "does not follow the last");
  });

  it("home's closing statement is another provider's, rightly signed", () => {
    expectBreak(broken({ keeping: { peer: p3 }, signedBy: { 5: s3 } }), N + 1, [p1], "not signed by home");
    expectBreak(broken({ signedBy: { 5: s3 } }), N + 1, [p1], "not signed by home");
  });

  it("home's closing statement is a link, or nothing", () => {
    expectBreak({ ...good, keeping: good.links[0] as Uint8Array }, N + 1, [p1], "malformed");
    expectBreak({ ...good, keeping: new Uint8Array() }, N + 1, [p1], "malformed");
  });

  it("a link is a closing statement", () => {
    const links = good.links.map((link, i) => (i === 0 ? good.keeping : link));
    expectBreak({ ...good, links }, 1, [p1], "malformed");
  });

  it("a link that is cut off is malformed", () => {
    const whole = good.links[2] as Uint8Array;
    for (let length = 0; length < whole.length; length += 5) {
      const links = good.links.map((link, i) => (i === 2 ? whole.subarray(0, length) : link));
      expectBreak({ ...good, links }, 3, [p3], "malformed");
    }
  });

  it("a flipped bit anywhere in a link is noticed at this link", () => {
    const whole = good.links[1] as Uint8Array;
    for (let bit = 0; bit < whole.length * 8; bit += 29) {
      const links = good.links.map((link, i) => (i === 1 ? flipBit(whole, bit) : link));
      expectBreak({ ...good, links }, 2, [p2]);
    }
  });

  it("garbage in any place is reported for this place and never thrown", () => {
    const place = fc.nat(N);
    const edits = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(40), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(place, edits, fc.boolean(), (position, [where, cut, bytes], whole) => {
        const old = position < N ? (good.links[position] as Uint8Array) : good.keeping;
        const at = Math.floor(where * old.length);
        const garbage = whole ? bytes : Buffer.concat([old.subarray(0, at), bytes, old.subarray(at + cut)]);
        fc.pre(Buffer.compare(garbage, old) !== 0);
        const links = good.links.map((link, i) => (i === position ? garbage : link));
        const keeping = position === N ? garbage : good.keeping;
        expectBreak({ ...good, links, keeping }, position + 1, [roster[position % N] as string]);
      }),
      { numRuns: 150 },
    );
  });

  it("everything garbage is a broken chain too", () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 8 }), bytes, (links, keeping) => {
        expectBreak({ expected: good.expected, links, keeping }, 1, [p1]);
      }),
    );
  });
});

describe("in the chain route what goes out must come in", () => {
  it("the owner and the first provider disagree", () => {
    const chain = makeChain("chain", { links: { 1: { digestIn: digest("x") } } });
    expectBreak(chain, 1, ["owner", p1], "what came in");
  });

  it.each([2, 3, 4])("link %i says that something else came in", (number) => {
    const chain = makeChain("chain", { links: { [number]: { digestIn: digest("x") } } });
    expectBreak(chain, number, [roster[number - 2] as string, roster[number - 1] as string], "what came in");
  });

  it.each([1, 2, 3])("link %i says that something else went out", (number) => {
    const chain = makeChain("chain", { links: { [number]: { digestOut: digest("x") } } });
    expectBreak(chain, number + 1, [roster[number - 1] as string, roster[number] as string], "what came in");
  });

  it("the last provider and home disagree", () => {
    const out = makeChain("chain", { links: { 4: { digestOut: digest("x") } } });
    expectBreak(out, N + 1, [p4, p1], "what home received");
    expectBreak(makeChain("chain", { keeping: { digestsReceived: [digest("x")] } }), N + 1, [p4, p1], "home received");
  });

  it("home keeps something else than it received", () => {
    expectBreak(makeChain("chain", { keeping: { digestKept: digest("x") } }), N + 1, [p1], "home keeps other bytes");
  });

  it("the first of several breaks is named, and every broken link is marked", () => {
    const chain = makeChain("chain", { links: { 2: { tokenId: digest("x") }, 4: { tokenId: digest("x") } } });
    expectBreak(chain, 2, [p2]);
    expect(check(chain).links.map(({ valid }) => valid)).toEqual([true, false, true, false]);
  });
});

describe("in the fanout route nothing comes in, and home says what it received", () => {
  it.each([1, 2, 4])("link %i says that something came in", (number) => {
    const chain = makeChain("fanout", { links: { [number]: { digestIn: passed(number - 1) } } });
    expectBreak(chain, number, [roster[number - 1] as string], "something came in");
  });

  it.each([2, 3, 4])("provider %i and home disagree about what went out", (number) => {
    const chain = makeChain("fanout", { links: { [number]: { digestOut: digest("x") } } });
    expectBreak(chain, N + 1, [roster[number - 1] as string, p1], "what home received");
  });

  it("home disagrees with itself", () => {
    const chain = makeChain("fanout", { links: { 1: { digestOut: digest("x") } } });
    expectBreak(chain, N + 1, [p1], "what home received");
  });

  it("the digests that home received are in another order", () => {
    const digestsReceived = [1, 3, 2, 4].map(passed);
    expectBreak(makeChain("fanout", { keeping: { digestsReceived } }), N + 1, [p2, p1], "what home received");
  });

  it("a chain of the other route is no chain of this one", () => {
    const { links, keeping } = makeChain("chain");
    expectBreak({ ...makeChain("fanout"), links, keeping }, 1, [p1], "something came in");
    const fanout = makeChain("fanout");
    expectBreak({ ...makeChain("chain"), links: fanout.links, keeping: fanout.keeping }, 1, ["owner", p1], "came in");
  });
});

describe("the links so far", () => {
  const { expected, links } = makeChain("chain");
  const before = { ...expected, digestFromOwner: undefined };

  it("are right up to any of them", () => {
    for (let count = 0; count <= N; count++) expect(checkLinks(before, links.slice(0, count))).toBeUndefined();
    expect(checkLinks(expected, links)).toBeUndefined();
  });

  it("are not right when one of them is wrong, or when they are too many", () => {
    const second = links.map((link, i) => (i === 1 ? flipBit(link, 300) : link));
    expect(checkLinks(before, second.slice(0, 3))).toMatchObject({ index: 2, suspects: [p2] });
    expect(checkLinks(before, [links[1] as Uint8Array])).toMatchObject({ index: 1, suspects: [p1] });
    expect(checkLinks(before, [...links, links[0] as Uint8Array])).toMatchObject({ index: N + 1, suspects: [] });
    const sent = { ...expected, digestFromOwner: digest("x") };
    expect(checkLinks(sent, links.slice(0, 1))).toMatchObject({ index: 1, suspects: ["owner", p1] });
  });
});

describe("statements", () => {
  const { links, keeping } = makeChain("chain");
  const fields = (bytes: Uint8Array) => decodeCanonical(bytes) as Record<string, CborValue>;
  const resigned = (bytes: Uint8Array, changes: Record<string, CborValue | undefined>, domain: string) => {
    const body = fields(fields(bytes)["body"] as Uint8Array);
    const entries = Object.entries({ ...body, ...changes }).filter(([, value]) => value !== undefined);
    const changed = encodeCanonical(Object.fromEntries(entries) as CborValue);
    return encodeCanonical({ body: changed, signature: s1.sign(domain, changed) });
  };
  const malformed = expect.objectContaining({ code: "BAD_MESSAGE" });
  const bodyOf = (bytes: Uint8Array) => fields(fields(bytes)["body"] as Uint8Array);

  it.each<[string, Record<string, CborValue | undefined>]>([
    ["an unknown field", { more: 1 }],
    ["another version", { version: 2 }],
    ["index 0", { index: 0 }],
    ["index 255", { index: 255 }],
    ["a short digest", { digestIn: new Uint8Array(31) }],
    ["a long token id", { tokenId: new Uint8Array(33) }],
    ["no identity", { identity: "" }],
    ["a negative time", { timeMs: -1 }],
    ...Object.keys(bodyOf(links[0] as Uint8Array)).map((field): [string, Record<string, undefined>] => [
      `no ${field}`,
      { [field]: undefined },
    ]),
  ])("a link with %s is malformed, however well it is signed", (_, changes) => {
    expect(() => readLink(resigned(links[0] as Uint8Array, changes, "intercloud/link/v1"))).toThrow(malformed);
  });

  it("a link of a peer that has no Ed25519 name is none", () => {
    expect(() => readLink(resigned(links[0] as Uint8Array, { peer: "somebody" }, "intercloud/link/v1"))).toThrow(
      expect.objectContaining({ code: "BAD_PEER_NAME" }),
    );
  });

  it.each<[string, Record<string, CborValue | undefined>]>([
    ["an unknown field", { more: 1 }],
    ["no digests", { digestsReceived: [] }],
    ["more digests than providers", { digestsReceived: Array.from({ length: 255 }, () => passed(1)) }],
    ["a short digest among them", { digestsReceived: [new Uint8Array(31)] }],
    ...Object.keys(bodyOf(keeping)).map((field): [string, Record<string, undefined>] => [
      `no ${field}`,
      { [field]: undefined },
    ]),
  ])("a closing statement with %s is malformed, however well it is signed", (_, changes) => {
    expect(() => readKeeping(resigned(keeping, changes, "intercloud/keeping/v1"))).toThrow(malformed);
  });

  it("a wrong signature is reported, and what was said with it", () => {
    const other = resigned(links[1] as Uint8Array, {}, "intercloud/link/v1");
    expect(readLink(other)).toMatchObject({ signatureValid: false, statement: { index: 2, peer: p2 } });
  });
});
