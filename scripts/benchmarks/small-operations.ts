/** The user's side of the benchmarks of many small operations: what one is, and running them at once or at a constant rate. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../client/client-api.ts";
import { isBusy } from "../../protocols/custody/client/hedges.ts";
import { CUSTODY_PROTOCOL } from "../../protocols/custody/constants.ts";
import type { Session } from "../../protocols/identity/tag.ts";
import type { PeerName, Transport } from "../../protocols/wire/transport.ts";
import { systemEntropy } from "../../runtime/entropy.ts";
import { drain } from "./forward-only.ts";
import { ask, signed } from "./signed-asks.ts";
import { BATCH_KEYS, type Operations, type RateTask } from "./tasks.ts";

/** As long as the file key of an envelope is stored. */
const KEY_BYTES = 32;
const BUSY_PAUSE_MS = 200;

export interface SmallOperationsOptions {
  readonly client: Client;
  readonly transport: Transport;
  readonly session: () => Session;
  /** All of the federation, home first. */
  readonly providers: readonly PeerName[];
  readonly dealer: PeerName;
  readonly threshold: number;
  readonly copies: number;
}

export function createSmallOperations(options: SmallOperationsOptions) {
  const { client, transport, session, providers, dealer, threshold, copies } = options;
  let tokens: string[] = [];
  let made: string[] = [];
  let next = 0;
  let asks = 0;

  const each = (peers: readonly PeerName[], to: (peer: PeerName) => readonly PeerName[] = () => []) => {
    asks += peers.length;
    return Promise.all(peers.map((peer) => ask(transport, peer, signed(session(), systemEntropy), to(peer))));
  };
  const others = (peer: PeerName) => providers.slice(0, copies).filter((keeper) => keeper !== peer);

  const operations: Readonly<Record<RateTask["action"], () => Promise<unknown>>> = {
    async "deposit-keys"() {
      const key = systemEntropy(KEY_BYTES);
      const source = { lengthBytes: key.length, open: () => only(key) };
      made.push((await client.deposit(source, { route: "fanout", form: "whole" })).tokenText);
    },
    async "deposit-batch"() {
      const keys = Array.from({ length: BATCH_KEYS }, () => systemEntropy(KEY_BYTES));
      const deposited = await client.depositAll(keys);
      if (!deposited.every(({ inLot }) => inLot)) throw new Error("some keys went one by one");
    },
    async "retrieve-keys"() {
      const token = tokens[next++ % tokens.length];
      if (token === undefined) throw new Error("nothing was deposited before");
      const { message } = await client.retrieve(token);
      if ((await drain(message)) !== KEY_BYTES) throw new Error("another key came back");
    },
    /** hello; the dealer, who asks all providers; place, which makes each provider give its part to the keepers; link; seal. */
    async "ask-as-deposit"() {
      await each(providers);
      await each([dealer], () => providers);
      await each(providers, others);
      await each(providers);
      await each(providers);
    },
    /** Who is there, and the proof from three; then the parts. */
    async "ask-as-retrieve"() {
      await each([...providers, ...providers.slice(0, 3)]);
      await each(providers.slice(0, threshold));
    },
    /** Deals for the next deposits: as many as the stock holds. */
    "fill-stock": () => client.stock.fill(),
    async hello() {
      await transport.ask(providers[1] as PeerName, CUSTODY_PROTOCOL, "hello", {}, { timeoutMs: 10_000 });
    },
  };

  return async ({ action, count, inFlight, perSecond }: RateTask): Promise<Operations> => {
    made = [];
    asks = 0;
    const latenciesMs: number[] = [];
    let failed = 0;
    let running = 0;
    const one = async (dueAtMs: number) => {
      running += 1;
      try {
        await (perSecond === undefined ? untilNotBusy(operations[action]) : operations[action]());
        latenciesMs.push(performance.now() - dueAtMs);
      } catch (error) {
        failed += 1;
        if (perSecond === undefined) throw error;
      } finally {
        running -= 1;
      }
    };
    const startedAtMs = performance.now();
    if (perSecond === undefined) {
      let left = count;
      const worker = async () => {
        while (left-- > 0) await one(performance.now());
      };
      await Promise.all(Array.from({ length: inFlight }, worker));
    } else {
      const all: Promise<void>[] = [];
      for (let i = 0; i < count; i += 1) {
        // From when it was due, not from when we got round to it: a queue is a part of the time that is waited.
        const dueAtMs = startedAtMs + (i * 1000) / perSecond;
        const waitMs = dueAtMs - performance.now();
        if (waitMs > 0) await sleep(waitMs);
        if (running >= inFlight) failed += 1;
        else all.push(one(dueAtMs));
      }
      await Promise.all(all);
    }
    if (made.length > 0) tokens = made;
    next = 0;
    const seconds = (performance.now() - startedAtMs) / 1000;
    return { seconds, done: latenciesMs.length, failed, latenciesMs, asksPerOperation: asks / count };
  };
}

/** As many as can be done: what is refused is tried again until it is done, and counts once. */
async function untilNotBusy(operation: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      return await operation();
    } catch (error) {
      if (!isBusy(error)) throw error;
      await sleep(BUSY_PAUSE_MS);
    }
  }
}

async function* only(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield new Uint8Array(bytes);
}
