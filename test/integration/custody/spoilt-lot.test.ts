/** As spoilt-deposit.test.ts, for many deposits at once: whoever would have a lot closed that cannot be read back is named first. */
import { afterEach, expect, test } from "vitest";
import { depositLot } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import type { Store } from "../../../protocols/storage/index.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Sent } from "../../../protocols/wire/stream-transport.ts";
import type { Channel, Transport } from "../../../protocols/wire/transport.ts";
import { bytesOf, collect, errorOf } from "../../support/bytes.ts";
import { createWorld, type World, type WorldOptions } from "../../support/custody-world.ts";
import { type Lie, turnInto } from "../../support/turn-into.ts";

let world: World;
let onSent: (sent: Sent) => void;
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

async function start(options: Partial<WorldOptions> = {}): Promise<void> {
  onSent = () => {};
  world = await createWorld({ providers: 5, observe: (sent) => onSent(sent), ...options });
}

function putAll(messages: readonly Uint8Array[]) {
  const candidates = world.user.directory.providers;
  return depositLot(world.user, { messages, providers: 5, threshold: 3, copies: 3, candidates });
}

/** Of different lengths. */
const messagesOf = (count: number) => Array.from({ length: count }, (_, i) => bytesOf(1 + ((i * 7) % 41), i));

function expectNothingKept(): void {
  for (const { store } of world.providers) {
    const kept = [...store.records.keys()].filter((key) =>
      /^(deposit|lot|deal-lot|deal-open|deal-staging|owner)/.test(key),
    );
    expect(kept).toEqual([]);
    expect([...store.files.keys()]).toEqual([]);
  }
}

/** What a liar does to a lot, and what the owner is told about it. */
const LIES: readonly (readonly [what: string, number: number, lie: () => Lie, did: string])[] = [
  ["lays another layer", 4, () => ({ tools: { kernel: wrongKernel } }), "laid another layer"],
  ["lays another layer, being home", 1, () => ({ tools: { kernel: wrongKernel } }), "provider-1"],
  ["has another share", 2, () => ({ custody: { store: otherShares(2) } }), "has another share"],
  ["says another fingerprint of its shares", 5, () => lyingLink(({ share }) => flip(share)), "about its share"],
  [
    "says another fingerprint of the sums",
    3,
    () => lyingLink(({ ciphertext }) => flip(ciphertext!)),
    "keeps something",
  ],
  [
    "says none of the sums",
    2,
    () => lyingLink((said) => void Object.assign(said, { ciphertext: null })),
    "keeps something",
  ],
  ["lays another layer and shows nothing", 4, () => silentLiar(), "did not show"],
];

const wrongKernel: typeof simdKernel = {
  ...simdKernel,
  addScaled(target, source, coefficient) {
    simdKernel.addScaled(target, source, coefficient);
    if (coefficient !== 1) target[target.length - 1]! ^= 1;
  },
};

function flip(bytes: Uint8Array): void {
  bytes[0]! ^= 1;
}

interface SaidFingerprints {
  readonly share: Uint8Array;
  readonly ciphertext: Uint8Array | null;
}

function lyingLink(change: (said: SaidFingerprints) => void): Lie {
  return {
    handlers: (honest) => ({
      ...honest,
      channels: {
        ...honest.channels,
        "link-lot": async (channel, header, context) => {
          const sendMessage: Channel["sendMessage"] = async (message) => {
            change((message as unknown as { fingerprints: SaidFingerprints }).fingerprints);
            return await channel.sendMessage(message);
          };
          await honest.channels!["link-lot"]!({ ...channel, sendMessage }, header, context);
        },
      },
    }),
  };
}

function silentLiar(): Lie {
  return {
    tools: { kernel: wrongKernel },
    handlers: (honest) => ({
      ...honest,
      channels: {
        ...honest.channels,
        "testify-lot": async () => {
          throw new IntercloudError("NO", "refused", "we say nothing");
        },
      },
    }),
  };
}

/** The seed of every deal comes out of this store as another one. */
function otherShares(number: number): Store {
  const { store } = world.providers[number - 1]!;
  return {
    ...store,
    async get(key) {
      const value = await store.get(key);
      if (value === undefined || !key.startsWith("deal/")) return value;
      const deal = decodeCanonical(value) as Record<string, CborValue>;
      return encodeCanonical({ ...deal, seed: new Uint8Array(32) });
    },
  };
}

test.each(LIES)("a provider that %s is named, and nothing is kept", async (_what, number, lie, did) => {
  await start();
  await turnInto(world, number, lie());
  const error = await errorOf(putAll(messagesOf(40)));
  expect(error).toMatchObject({ code: "DEPOSIT_SPOILT", details: { peers: [world.providers[number - 1]!.peer] } });
  expect((error as Error).message).toContain(did);
  expectNothingKept();
});

test("a dealer whose shares of one deposit of a lot do not belong together is named", async () => {
  let isWrong = true;
  await start({
    toolsOf: (who) =>
      who === "dealer"
        ? {
            kernel: {
              ...simdKernel,
              combineInto(targets, sources, rows) {
                simdKernel.combineInto(targets, sources, rows);
                if (isWrong) targets.at(-1)![0]! ^= 1;
                isWrong = false;
              },
            },
          }
        : {},
  });
  expect(await errorOf(putAll(messagesOf(3)))).toMatchObject({
    code: "DEPOSIT_SPOILT",
    details: { peers: [world.dealer] },
  });
  expectNothingKept();
});

test("shares of a lot are shown to its owner's peer alone, and not after it is sealed", async () => {
  await start();
  let lotId: Uint8Array | undefined;
  let during: Promise<unknown> | undefined;
  const asking = async (from: Transport) => {
    const [first] = world.providers;
    const channel = await from.open(
      first!.peer,
      CUSTODY_PROTOCOL,
      "testify-lot",
      { lotId: lotId! },
      { timeoutMs: 2_000 },
    );
    return await errorOf(collect(channel.receiveBody({ lengthBytes: 1 })));
  };
  onSent = ({ method, kind, bytes }) => {
    if (method !== "seal-lot" || kind !== "message" || lotId !== undefined) return;
    const { header } = decodeCanonical(bytes) as { header: { lotId: Uint8Array } };
    lotId = header.lotId;
    during = asking(world.providers[1]!.transport);
  };
  const messages = messagesOf(2);
  const deposits = await putAll(messages);
  expect(await during).toMatchObject({ status: "refused" });
  expect(await asking(world.user.transport)).toMatchObject({ status: "refused" });
  for (const [i, { tokenText }] of deposits.entries()) expect(await world.get(tokenText)).toEqual(messages[i]);
});
