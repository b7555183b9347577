/** Providers of a deposit that do what they should not: none of it costs more than docs/threat-model.md says. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { peerIdentity } from "../../../protocols/crypto/peer-name.ts";
import { depositLot, listDeposits, type RetrieveWarning } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { ciphertextName, depositChange, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { fingerprintOf } from "../../../protocols/rounds/fingerprint.ts";
import { EMPTY_DIGEST } from "../../../protocols/tokens/chain.ts";
import { encodeLink, readLink, signLink } from "../../../protocols/tokens/link.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { encodeToken } from "../../../protocols/tokens/token.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Channel } from "../../../protocols/wire/transport.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World } from "../../support/custody-world.ts";
import { turnInto } from "../../support/turn-into.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);
const SHORT = bytesOf(1_000, 43);
const LOT = { providers: 5, threshold: 3, copies: 3 };
const CALL = { timeoutMs: 5_000 };

async function sendJunk(channel: Channel, lengthBytes: number, chain: CborValue): Promise<void> {
  const junk = (async function* () {
    yield new Uint8Array(lengthBytes);
  })();
  await channel.sendBody(junk).catch(() => {});
  await channel.sendMessage(chain).catch(() => {});
  await channel.receiveMessage().catch(() => {});
  channel.abort();
}

test("nobody can replace the ciphertext of a sealed deposit: not home at a keeper, not the last provider at home", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const [home, keeper, , , last] = world.providers;
  const before = world.providers.map(({ store }) => store.files.get(ciphertextName(tokenId))?.slice());
  const { record, terms } = await loadDeposit(home!.store, tokenId);
  const { lengthBytes } = terms.manifest;

  const copy = await home!.transport.open(keeper!.peer, CUSTODY_PROTOCOL, "copy", { tokenId }, CALL);
  await sendJunk(copy, lengthBytes, { links: record.links, keeping: record.keeping });
  const pour = await last!.transport.open(home!.peer, CUSTODY_PROTOCOL, "pour", { tokenId, step: 6 }, CALL);
  await sendJunk(pour, lengthBytes, { links: record.links });

  const after = world.providers.map(({ store }) => store.files.get(ciphertextName(tokenId))?.slice());
  expect(after.map((file, i) => Buffer.compare(file ?? Buffer.of(), before[i] ?? Buffer.of()))).toEqual([
    0, 0, 0, 0, 0,
  ]);
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
});

for (const route of ["fanout", "chain"] as const) {
  test(`a provider that blames the others for its failure gets nobody left out but itself (${route})`, async () => {
    const { tokenText } = await world.put(MESSAGE);
    const others = world.providers.filter(({ number }) => number !== 2).map(({ peer }) => peer);
    await turnInto(world, 2, {
      handlers: (honest) => ({
        ...honest,
        channels: {
          async retrieve() {
            throw new IntercloudError("BLAME", "unreachable", "it was the others", { peers: others });
          },
        },
      }),
    });
    for (let round = 0; round < 4; round += 1) {
      expect(Buffer.compare(await world.get(tokenText, { route }), MESSAGE)).toBe(0);
    }
  });
}

test("home cannot have one statement sealed and have given the keepers copies under another", async () => {
  const { keeping: foreign } = (
    await loadDeposit(world.providers[0]!.store, parseTokenText((await world.put(MESSAGE)).tokenText).tokenId)
  ).record;
  const { store } = world.providers[1]!;
  let changed = false;
  const putting = world.put(MESSAGE, {
    onProgress({ phase }) {
      if (phase !== "sealing" || changed) return;
      changed = true;
      for (const key of [...store.records.keys()].filter((name) => name.startsWith("deposit/"))) {
        void (async () => {
          const { record, terms } = await loadDeposit(store, Buffer.from(key.slice("deposit/".length), "hex"));
          if (record.state === "linked")
            await store.commit([depositChange(terms.tokenId, { ...record, keeping: foreign })]);
        })();
      }
    },
  });
  await expect(putting).rejects.toMatchObject({ status: "integrity" });
});

test("home cannot have a provider sign what it did not do", async () => {
  const [home, second] = world.providers;
  const asked: string[] = [];
  await turnInto(world, 1, {
    handlers: (honest, transport) => ({
      ...honest,
      channels: {
        async collect(_channel, header) {
          const { tokenId } = header as { readonly tokenId: Uint8Array };
          const { terms } = await loadDeposit(home!.store, tokenId);
          const part = await transport.open(second!.peer, CUSTODY_PROTOCOL, "part", { tokenId }, CALL);
          for await (const _ of part.receiveBody({ lengthBytes: terms.manifest.lengthBytes }));
          const statement = encodeLink({
            ...{ version: 1, tokenId, index: 2, peer: second!.peer, identity: peerIdentity(second!.peer) },
            ...{ digestIn: EMPTY_DIGEST, digestOut: entropy(32), previous: entropy(32), timeMs: Date.now() },
          });
          await part.sendMessage({ statement });
          await part.receiveMessage().then(
            () => asked.push("signed"),
            (error) => asked.push(error.status),
          );
          throw new IntercloudError("DONE", "integrity", "enough");
        },
      },
    }),
  });
  await expect(world.put(MESSAGE, { route: "fanout" })).rejects.toMatchObject({ status: "integrity" });
  expect(asked).toEqual(["integrity"]);
});

test.each([
  ["short", 1_000],
  ["long", 300_000],
])(
  "a provider that signs another link than it was asked to, in a %s fanout, is named, and not the one after it",
  async (_, lengthBytes) => {
    const { signer, peer } = world.providers[3]!;
    const relinked = (link: Uint8Array) =>
      signLink(encodeLink({ ...readLink(link).statement, digestOut: entropy(32) }), signer);
    await turnInto(world, 4, {
      handlers: (honest) => ({
        asks: {
          ...honest.asks,
          async link(body, context) {
            const answer = (await honest.asks!["link"]!(body, context)) as { readonly link: Uint8Array };
            return { ...answer, link: relinked(answer.link) };
          },
        },
        channels: {
          ...honest.channels,
          async part(channel, header, context) {
            const sendMessage: Channel["sendMessage"] = async (message) => {
              const { link } = message as { readonly link: Uint8Array };
              await channel.sendMessage({ link: relinked(link) });
            };
            await honest.channels!["part"]!({ ...channel, sendMessage }, header, context);
          },
        },
      }),
    });
    const error = (await errorOf(world.put(bytesOf(lengthBytes, 45), { route: "fanout" }))) as IntercloudError;
    expect(error.status).toBe("integrity");
    // in a long one it is home that says so: its word against the provider's
    expect(error.details.peers).toEqual(lengthBytes === 1_000 ? [peer] : [peer, world.providers[0]!.peer]);
  },
);

test("a dealer whose shares are not on one polynomial, with a provider that covers it up: it is named, and the other shares give the message", async () => {
  await world.close();
  const message = bytesOf(1_000, 44);
  const wrongAt = new Uint8Array(layeredBytes(message.length));
  wrongAt[0] = 1;
  let isCovering = true;
  world = await createWorld({
    providers: 3,
    toolsOf: (who) => ({
      kernel: {
        ...simdKernel,
        combineInto(targets, sources, rows) {
          simdKernel.combineInto(targets, sources, rows);
          // the dealer's share for provider 3 is wrong in its first byte
          if (who === "dealer") targets.at(-1)![0]! ^= 1;
        },
        addScaled(target, source, coefficient) {
          simdKernel.addScaled(target, source, coefficient);
          if (who === 3 && isCovering && coefficient !== 1) {
            target[0]! ^= coefficient;
            isCovering = false;
          }
        },
      },
    }),
  });
  // Provider 3 lays the layer of the right share, and says the fingerprint of that.
  await turnInto(world, 3, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async check(body, context) {
          const { challenge } = body as { readonly challenge: Uint8Array };
          const said = (await honest.asks!["check"]!(body, context)) as { share: Uint8Array; ciphertext: Uint8Array };
          simdKernel.addScaled(said.share, fingerprintOf(wrongAt, challenge, simdKernel), 1);
          return said;
        },
      },
    }),
  });
  const { tokenText } = await world.put(message, { threshold: 2, route: "chain" });
  expect(isCovering).toBe(false);
  const warnings: RetrieveWarning[] = [];
  world.kill(1);
  const onWarning = (warning: RetrieveWarning) => void warnings.push(warning);
  await expect(world.get(tokenText, { onWarning })).rejects.toMatchObject({ status: "integrity" });
  world.revive(1);
  world.kill(2);
  await expect(world.get(tokenText, { onWarning })).rejects.toMatchObject({ status: "integrity" });
  world.revive(2);
  warnings.length = 0;
  // The two that answer first are not those that belong together.
  await turnInto(world, 2, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async ready(body, context) {
          await new Promise((resume) => setTimeout(resume, 100));
          return await honest.asks!["ready"]!(body, context);
        },
      },
    }),
  });
  expect(await world.get(tokenText, { onWarning })).toEqual(message);
  expect(warnings).toMatchObject([{ kind: "named", accusation: { accused: world.dealer, kind: "wrong-deal" } }]);
});

/** What is asked of provider 2, and in what. */
const ASKED: readonly (readonly [string, (tokenText: string) => Promise<unknown>])[] = [
  ["place", () => world.put(SHORT, { route: "fanout" })],
  ["link", () => world.put(SHORT, { route: "fanout" })],
  ["bind", () => world.put(MESSAGE, { route: "chain" })],
  ["check", () => world.put(MESSAGE, { route: "chain" })],
  ["part", () => world.put(MESSAGE, { route: "fanout" })],
  ["change-part", (tokenText) => world.change(tokenText)],
  ["change-activate", (tokenText) => world.change(tokenText)],
  ["read", (tokenText) => world.change(tokenText)],
  ["link-lot", () => depositLot(world.user, { messages: [SHORT], ...LOT, candidates: world.user.directory.providers })],
];
test.each(ASKED)(
  "nonsense in answer to %s is a failure of who says it, and no mistake of who asks",
  async (method, act) => {
    const { tokenText } = await world.put(SHORT, { threshold: 2 });
    await turnInto(world, 2, {
      handlers: ({ asks, channels }) => ({
        asks: { ...asks, ...(asks?.[method] && { [method]: async () => ({ nonsense: 1 }) }) },
        channels: {
          ...channels,
          ...(channels?.[method] && {
            [method]: (channel, header, context) =>
              channels[method]!(
                { ...channel, sendMessage: () => channel.sendMessage({ nonsense: 1 }) },
                header,
                context,
              ),
          }),
        },
      }),
    });
    const error = await errorOf(act(tokenText));
    expect(error).toMatchObject({ status: "unreachable" });
    expect((error as IntercloudError).details.peers).toContain(world.providers[1]!.peer);
  },
);

test("a statement that a provider makes in another's name says nothing about that one", async () => {
  const { tokenText } = await world.put(SHORT);
  const [first, second] = world.providers;
  await turnInto(world, 2, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async "change-activate"(body, context) {
          const { holding } = (await honest.asks!["change-activate"]!(body, context)) as { holding: Uint8Array };
          const signed = decodeCanonical(holding) as { readonly body: Uint8Array; readonly signature: Uint8Array };
          const said = decodeCanonical(signed.body) as Record<string, CborValue>;
          return { holding: encodeCanonical({ ...signed, body: encodeCanonical({ ...said, peer: first!.peer }) }) };
        },
      },
    }),
  });
  await expect(world.change(tokenText)).rejects.toMatchObject({
    ...{ status: "integrity", details: { peers: [second!.peer] } },
  });
});

test("a provider that says that another one did wrong, or passes such a word on, is one of those who may have lied", async () => {
  const [, second, third, fourth] = world.providers;
  const blaming = (number: number, method: string) =>
    turnInto(world, number, {
      handlers: ({ asks, channels }) => {
        const lie = async () => {
          throw new IntercloudError("BLAME", "integrity", "it was another one", { peers: [fourth!.peer] });
        };
        return {
          asks: { ...asks, ...(asks?.[method] && { [method]: lie }) },
          channels: { ...channels, ...(channels?.[method] && { [method]: lie }) },
        };
      },
    });
  await blaming(2, "bind");
  await expect(world.put(MESSAGE, { route: "chain" })).rejects.toMatchObject({
    ...{ code: "PROVIDERS_DISAGREE", status: "integrity", details: { peers: [fourth!.peer, second!.peer] } },
  });
  await turnInto(world, 2, {});
  // in the middle of a chain: home and provider 2 pass it on
  await blaming(3, "pour");
  const error = (await errorOf(world.put(MESSAGE, { route: "chain" }))) as IntercloudError;
  expect(error).toMatchObject({ code: "PROVIDERS_DISAGREE", status: "integrity" });
  expect(error.details.peers).toContain(third!.peer);
});

test("a provider that lists without end is given up", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  let pages = 0;
  await turnInto(world, 3, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async list() {
          pages += 1;
          return { tokens: [encodeToken({ ...token, dealId: entropy(16) })], more: true };
        },
      },
    }),
  });
  const listing = await listDeposits(world.user, AbortSignal.timeout(20_000));
  expect(listing.missing).toEqual([world.providers[2]!.peer]);
  expect(listing.deposits.map((each) => each.tokenText)).toContain(tokenText);
  expect(pages).toBeLessThan(1_000);
});
