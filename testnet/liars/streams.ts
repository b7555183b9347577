/** Lies in how something is said: not at all, not to its end, without end, or as noise. */
import { WAITING_INTERVAL_MS } from "../../protocols/custody/constants.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import { pause } from "../../protocols/wire/pause.ts";
import type { Channel, Handlers } from "../../protocols/wire/transport.ts";
import { type Bend, bent, bentChannel, bentOpen, isFirstWord, nowAndThen, untilStopped } from "./bend.ts";
import type { Liar, ProviderLie } from "./lie.ts";

type Said = Pick<Liar<unknown>, "entropy" | "clock" | "lied">;

/** Answers nothing. @param isSilent asked for each question, once */
export function silent(made: Handlers, { lied }: Said, isSilent: () => boolean): Handlers {
  return bent(made, {
    ask: (honest, method) => async (body, context) => {
      if (isFirstWord(method) || !isSilent()) return await honest(body, context);
      lied();
      await untilStopped(context.signal);
      return null;
    },
    channel: (honest) => async (channel, header, context) => {
      if (!isSilent()) return await honest(channel, header, context);
      lied();
      await untilStopped(context.signal);
    },
  });
}

/** What becomes of a body that the liar sends. @param signal fires when nobody wants it any more */
type Warp = (source: AsyncIterable<Uint8Array>, signal: AbortSignal, said: Said) => AsyncIterable<Uint8Array>;

/** Bodies of the liar, whoever opened the channel, and all else as it should be. */
function warped(warp: Warp): ProviderLie["begin"] {
  return (liar) => {
    const sent = (signal: AbortSignal) => ({
      body: (source: AsyncIterable<Uint8Array>) => warp(source, signal, liar),
    });
    const never = new AbortController().signal;
    return {
      parts: { transport: bentOpen(liar.honest.transport, (_to, _method, _header, signal) => sent(signal ?? never)) },
      handlers: (made) =>
        bent(made, {
          channel: (honest) => (channel, header, context) =>
            honest(bentChannel(channel, sent(context.signal)), header, context),
        }),
    };
  };
}

const halfOfIt: Warp = async function* (source, signal, { lied }) {
  for await (const chunk of source) {
    lied();
    yield chunk.subarray(0, chunk.length >> 1);
    await untilStopped(signal);
    return;
  }
};

const moreThanAll: Warp = async function* (source, signal, { entropy, lied }) {
  yield* source;
  lied();
  while (!signal.aborted) yield entropy(4096);
};

/** Far below what peers wait for the next byte. */
const TRICKLE_INTERVAL_MS = 3_000;

const byteByByte: Warp = async function* (source, signal, { clock, lied }) {
  for await (const chunk of source) {
    lied();
    for (let at = 0; at < chunk.length && !signal.aborted; at += 1) {
      yield chunk.slice(at, at + 1);
      await pause(clock, TRICKLE_INTERVAL_MS, signal);
    }
  }
};

/** Says that it is still there, and nothing else. */
function stillThere({ clock, lied }: Said): Bend {
  const endless = (channel: Channel, signal: AbortSignal): Channel => ({
    ...channel,
    async sendMessage() {
      lied();
      while (!signal.aborted) {
        await channel.sendMessage({ waiting: true });
        await pause(clock, WAITING_INTERVAL_MS, signal);
      }
    },
    async sendBody() {
      lied();
      return await channel.sendBody(nothing(signal), { keepAliveMs: WAITING_INTERVAL_MS });
    },
  });
  return {
    channel: (honest) => (channel, header, context) => honest(endless(channel, context.signal), header, context),
  };
}

// biome-ignore lint/correctness/useYield: it is a source that never has anything
async function* nothing(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await untilStopped(signal);
}

/**
 * In the place of all that it says in answer to a question.
 * @param isNow asked for each question
 * @param value in the place of a message @param bytes of a chunk of a body
 */
export function babbling(
  { lied }: Pick<Said, "lied">,
  isNow: () => boolean,
  { value, bytes }: { readonly value: () => CborValue; readonly bytes?: (lengthBytes: number) => Uint8Array },
): Bend {
  const sent = {
    message() {
      lied();
      return value();
    },
    ...(bytes && {
      async *body(source: AsyncIterable<Uint8Array>) {
        lied();
        for await (const chunk of source) yield bytes(chunk.length);
      },
    }),
  };
  return {
    ask: (honest, method) => async (body, context) => {
      const answer = await honest(body, context);
      return isFirstWord(method) || !isNow() ? answer : sent.message();
    },
    channel: (honest) => (channel, header, context) =>
      honest(isNow() ? bentChannel(channel, sent) : channel, header, context),
  };
}

/** CBOR that is none of our messages, each time something else. */
export function otherShapes({ entropy }: Pick<Said, "entropy">): () => CborValue {
  let count = 0;
  const nested = Array.from({ length: 64 }).reduce<CborValue>((inner) => [inner], null);
  const values: readonly (() => CborValue)[] = [
    () => null,
    () => ({}),
    () => [],
    () => ({ nonsense: 1 }),
    () => Number.MAX_SAFE_INTEGER,
    () => Buffer.from(entropy(12)).toString("base64"),
    () => nested,
    () => ({ manifest: null, links: [null], bytes: "", signature: -1, held: {}, proof: [], waiting: false }),
  ];
  return () => values[count++ % values.length]!();
}

const SILENT_AFTER = { fewest: 2, mostMore: 8 };

export const STREAM_LIES: readonly ProviderLie[] = [
  {
    name: "silent",
    about: "takes every question and never answers",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => silent(made, liar, () => true) }),
  },
  {
    name: "silent-after-some",
    about: "answers the first few questions and then none any more",
    isAttributable: false,
    begin(liar) {
      let left = SILENT_AFTER.fewest + (liar.entropy(1)[0]! % SILENT_AFTER.mostMore);
      return { handlers: (made) => silent(made, liar, () => --left < 0) };
    },
  },
  {
    name: "stops-in-the-middle",
    about: "sends half of what it has to send, and then nothing more",
    isAttributable: false,
    begin: warped(halfOfIt),
  },
  {
    name: "endless-body",
    about: "goes on sending after all that it had to send",
    isAttributable: false,
    begin: warped(moreThanAll),
  },
  {
    name: "byte-by-byte",
    about: "sends one byte every three seconds",
    isAttributable: false,
    begin: warped(byteByByte),
  },
  {
    name: "endless-keep-alives",
    about: "says again and again that its answer is still to come",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => bent(made, stillThere(liar)) }),
  },
  {
    name: "garbage",
    about: "sends random bytes now and then, as answers, as messages and as bodies",
    isAttributable: false,
    begin: (liar) => ({
      handlers: (made) =>
        bent(
          made,
          babbling(liar, () => nowAndThen(liar.entropy), { value: () => liar.entropy(64), bytes: liar.entropy }),
        ),
    }),
  },
  {
    name: "wrong-shape",
    about: "answers now and then with messages that are well formed and mean nothing",
    isAttributable: false,
    begin: (liar) => ({
      handlers: (made) =>
        bent(
          made,
          babbling(liar, () => nowAndThen(liar.entropy), { value: otherShapes(liar) }),
        ),
    }),
  },
];
