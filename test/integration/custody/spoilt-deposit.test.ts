/**
 * Providers, and a dealer, that would have a deposit closed which cannot be read back. The owner finds out before it closes it, by the
 * fingerprints; names who did it, and nobody else; and nothing is kept.
 */
import { randomInt } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import type { DepositOptions } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { heldDealChange, idOfHex, loadHeldDeal } from "../../../protocols/dealing/held-deal.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Channel, Context, Transport } from "../../../protocols/wire/transport.ts";
import { bytesOf, collect, errorOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";
import { type Lie, turnInto, wrongLayer } from "../../support/turn-into.ts";

let world: World;
afterEach(async () => {
  expect(world.faults).toEqual([]);
  await world.close();
});

interface Kind {
  readonly name: string;
  readonly message: Uint8Array;
  readonly options: Partial<DepositOptions>;
}

/** Each way that a deposit can take; n=5, t=3, 3 copies. */
const KINDS: readonly [Kind, Kind, ...Kind[]] = [
  { name: "short", message: bytesOf(1_000, 1), options: { route: "fanout" } },
  { name: "long, by fanout", message: bytesOf(1_200_000, 2), options: { route: "fanout" } },
  { name: "long, by chain", message: bytesOf(1_200_000, 3), options: { route: "chain" } },
  { name: "short, by Protocol 2", message: bytesOf(1_000, 4), options: { route: "fanout", protocol: 2 } },
  { name: "short, by chain and Protocol 1", message: bytesOf(1_000, 5), options: { route: "chain", protocol: 1 } },
];

const peerOf = (number: number) => world.providers[number - 1]!.peer;

async function spoil({ message, options }: Kind): Promise<IntercloudError> {
  const error = await errorOf(world.put(message, options));
  for (const { store } of world.providers) {
    expect([...store.records.keys()].filter((key) => key.startsWith("deposit"))).toEqual([]);
    expect([...store.files.keys()]).toEqual([]);
  }
  if (!(error instanceof IntercloudError)) throw error;
  return error;
}

const spoiltBy = (...numbers: number[]) => ({
  ...{ code: "DEPOSIT_SPOILT", status: "integrity" },
  details: { peers: numbers.map(peerOf) },
});

function flip(bytes: CborValue | undefined, at: number): void {
  (bytes as Uint8Array)[at]! ^= 1;
}

/** Changes what it answers to the step in which fingerprints are told. */
const wrongAnswer = (change: (answer: Record<string, CborValue>) => void): Lie => ({
  handlers: (honest) => {
    const lying = (method: string) => async (body: CborValue, context: Context) => {
      const answer = (await honest.asks![method]!(body, context)) as Record<string, CborValue>;
      change(method === "link" ? (answer["fingerprints"] as Record<string, CborValue>) : answer);
      return answer;
    };
    return { ...honest, asks: { ...honest.asks, link: lying("link"), check: lying("check") } };
  },
});

/** Puts another seed into its store as soon as it is told what the deal is for. */
const otherShare = (number: number): Lie => ({
  handlers: (honest) => {
    const { store } = world.providers[number - 1]!;
    const lying = (method: string) => async (body: CborValue, context: Context) => {
      for (const key of [...store.records.keys()].filter((each) => each.startsWith("deal/"))) {
        const deal = (await loadHeldDeal(store, idOfHex(key.slice("deal/".length))))!;
        await store.commit([heldDealChange({ ...deal, seed: bytesOf(32, 99) })]);
      }
      return await honest.asks![method]!(body, context);
    };
    return { ...honest, asks: { ...honest.asks, bind: lying("bind"), place: lying("place") } };
  },
});

const silent = (lie: Lie): Lie => ({
  ...lie,
  handlers: (honest, transport) => {
    const before = lie.handlers?.(honest, transport) ?? honest;
    const testify = async (_channel: Channel) => {
      throw new IntercloudError("NO", "refused", "we say nothing");
    };
    return { ...before, channels: { ...before.channels, testify } };
  },
});

describe.each(KINDS)("in a deposit that is $name", (kind) => {
  const isChain = kind.options.route === "chain";

  test.each([1, 2, 4, 5])("provider %i that lays another layer than its share makes is named", async (number) => {
    world = await createWorld({ providers: 5 });
    await turnInto(world, number, wrongLayer(number));
    const error = await spoil(kind);
    expect(error).toMatchObject(spoiltBy(number));
    expect(error.message).toContain(`provider-${number} laid another layer`);
    expect(error.message).toContain(`--without provider-${number}`);
  });

  test("n-t liars are all named, and nobody else; in a chain the first of them", async () => {
    world = await createWorld({ providers: 5 });
    await turnInto(world, 2, wrongLayer(2));
    await turnInto(world, 5, wrongLayer(5));
    expect(await spoil(kind)).toMatchObject(isChain ? spoiltBy(2) : spoiltBy(2, 5));
  });

  test("a liar that does not show its share is named by that", async () => {
    world = await createWorld({ providers: 5 });
    await turnInto(world, 4, silent(wrongLayer(4)));
    const error = await spoil(kind);
    expect(error).toMatchObject(spoiltBy(4));
    expect(error.message).toContain("provider-4 did not show what it did");
  });

  test("a provider that lays the layer of another share than it was dealt is named", async () => {
    world = await createWorld({ providers: 5 });
    await turnInto(world, 3, otherShare(3));
    const error = await spoil(kind);
    expect(error).toMatchObject(spoiltBy(3));
    expect(error.message).toContain("provider-3 has another share");
  });

  test.each([1, 3, 5])("provider %i that says another fingerprint of its share is named", async (number) => {
    world = await createWorld({ providers: 5 });
    await turnInto(
      world,
      number,
      wrongAnswer(({ share }) => flip(share, 0)),
    );
    expect(await spoil(kind)).toMatchObject(spoiltBy(number));
  });

  test.each([1, 3])("keeper %i that says another fingerprint of the ciphertext, or none, is named", async (number) => {
    for (const to of ["other", "none", "short"] as const) {
      world = await createWorld({ providers: 5 });
      await turnInto(
        world,
        number,
        wrongAnswer((said) => {
          if (to === "other") flip(said["ciphertext"], 0);
          else said["ciphertext"] = to === "none" ? null : new Uint8Array(3);
        }),
      );
      expect(await spoil(kind)).toMatchObject(spoiltBy(number));
      if (to !== "short") await world.close();
    }
  });

  test("a dealer whose shares do not belong together is named", async () => {
    world = await createWorld({
      providers: 5,
      toolsOf: (who) =>
        who === "dealer"
          ? {
              kernel: {
                ...simdKernel,
                combineInto(targets, sources, rows) {
                  simdKernel.combineInto(targets, sources, rows);
                  targets.at(-1)![0]! ^= 1;
                },
              },
            }
          : {},
    });
    const error = await spoil(kind);
    expect(error).toMatchObject({ code: "DEPOSIT_SPOILT", details: { peers: [world.dealer] } });
    expect(error.message).toContain("another dealer");
  });

  test("everybody honest: it is closed, and comes back", async () => {
    world = await createWorld({ providers: 5 });
    const { message, options } = kind;
    const { tokenText, userShare } = await world.put(message, options);
    expect(await world.get(tokenText, { userShare: async () => userShare?.slice() })).toEqual(message);
  });
});

test("home that adds something else to a long deposit, and signs what it keeps, is named; keepers that took copies are not", async () => {
  world = await createWorld({ providers: 5 });
  await turnInto(world, 1, {
    tools: {
      kernel: {
        ...simdKernel,
        addScaled(target, source, coefficient) {
          simdKernel.addScaled(target, source, coefficient);
          if (coefficient === 1 && target.length > 10_000) target[0]! ^= 1;
        },
      },
    },
  });
  const error = await spoil(KINDS[1]);
  expect(error).toMatchObject(spoiltBy(1));
  expect(error.message).toContain("provider-1 keeps something else");
});

test("whoever lies in whatever way, nobody honest is named", async () => {
  const seed = randomInt(2 ** 31);
  process.stdout.write(`spoilt deposits: seed ${seed}\n`);
  let state = seed;
  const below = (count: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % count;
  };
  const lies: ((number: number) => Lie)[] = [
    wrongLayer,
    (number) => silent(wrongLayer(number)),
    () => wrongAnswer(({ share }) => flip(share, 3)),
    () => wrongAnswer((said) => void Object.assign(said, { ciphertext: null })),
  ];
  for (let round = 0; round < 12; round += 1) {
    world = await createWorld({ providers: 5 });
    const [first, second] = [1 + below(5), 1 + below(5)];
    for (const number of new Set([first, second])) await turnInto(world, number, lies[below(lies.length)]!(number));
    const kind = KINDS[below(3)]!;
    const put = world.put(kind.message, kind.options);
    const outcome = await put.catch((error: unknown) => error);
    const at = `seed ${seed}, round ${round}`;
    if (outcome instanceof Error) {
      const named = outcome instanceof IntercloudError ? outcome.details.peers : undefined;
      expect(outcome, at).toMatchObject({ code: "DEPOSIT_SPOILT" });
      expect([peerOf(first), peerOf(second)], at).toEqual(expect.arrayContaining([...(named ?? [])]));
    } else {
      // A lie about what nobody had asked for, such as the ciphertext of one that keeps none.
      expect(await world.get((await put).tokenText), at).toEqual(kind.message);
    }
    if (round < 11) await world.close();
  }
});

test("shares are shown, and fingerprints told, to the owner's peer alone, and not after the deposit is closed", async () => {
  world = await createWorld({ providers: 3 });
  const [first, second] = world.providers;
  const asking = async (from: Transport, tokenId: Uint8Array) => {
    const options = { timeoutMs: 2_000 };
    const challenge = new Uint8Array(32);
    const told = errorOf(from.ask(first!.peer, CUSTODY_PROTOCOL, "check", { tokenId, challenge }, options));
    const channel = await from.open(first!.peer, CUSTODY_PROTOCOL, "testify", { tokenId }, options);
    const shown = errorOf(collect(channel.receiveBody({ lengthBytes: 1_100 })));
    return [await told, await shown];
  };
  const refused = [{ status: "refused" }, { status: "refused" }];
  let during: unknown;
  const { tokenText } = await world.put(bytesOf(1_000, 1), {
    ...{ route: "chain", threshold: 2 },
    onProgress({ phase }) {
      if (phase !== "sealing" || during !== undefined) return;
      const key = [...first!.store.records.keys()].find((each) => each.startsWith("deposit/"));
      during = asking(second!.transport, idOfHex(key!.slice("deposit/".length)));
    },
  });
  expect(await during).toMatchObject(refused);
  expect(await asking(world.user.transport, parseTokenText(tokenText).tokenId)).toMatchObject(refused);
  expect(await world.get(tokenText)).toEqual(bytesOf(1_000, 1));
});

test("whoever has shown its share has burnt it: the deposit cannot be closed any more", async () => {
  world = await createWorld({ providers: 3 });
  const { transport } = world.user;
  const shownBy: number[] = [];
  const user = {
    ...world.user,
    transport: {
      ...transport,
      // The owner's own program: it has a provider show its share, and closes the deposit all the same.
      ask: (async (to, protocol, method, body, options) => {
        if (method === "seal" && to === peerOf(2)) {
          const { tokenId } = await onlyDeposit(2);
          const channel = await transport.open(to, CUSTODY_PROTOCOL, "testify", { tokenId }, { timeoutMs: 2_000 });
          shownBy.push((await collect(channel.receiveBody({ lengthBytes: layeredBytes(1_000) }))).length);
          await channel.close();
        }
        return await transport.ask(to, protocol, method, body, options);
      }) as Transport["ask"],
    },
  };
  expect(await errorOf(world.put(bytesOf(1_000, 1), { route: "fanout", threshold: 2 }, user))).toMatchObject({
    code: "NOT_ENOUGH_PROVIDERS",
  });
  expect(shownBy).toEqual([layeredBytes(1_000)]);
});

async function onlyDeposit(number: number): Promise<{ readonly tokenId: Uint8Array }> {
  const { store } = world.providers[number - 1]!;
  const key = [...store.records.keys()].find((each) => each.startsWith("deposit/"));
  return { tokenId: idOfHex(key!.slice("deposit/".length)) };
}
