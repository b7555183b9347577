/**
 * Discovery over the private DHT: our descriptor for the others, and who keeps the ciphertext of a deposit. All of it runs in
 * the background with deadlines and is a hint, never the truth: nothing waits for it but `locate`, and that not for long.
 */
import { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { create as createMultihash } from "multiformats/hashes/digest";
import { digestOf } from "../protocols/crypto/digest.ts";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { jittered, pause, withDeadline } from "../protocols/wire/pause.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import type { NodeAddressBook } from "./address-book.ts";
import { type Dht, nodeRecordKey } from "./dht.ts";

const SHA2_256 = 0x12;

/** A query on a healthy network takes milliseconds; one that meets dead peers ends here. */
const BACKGROUND_QUERY_MS = 10_000;
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60_000;

/** A user waits for the answer. */
const LOCATE_MS = 2_000;
/** Each asks up to twenty peers; a flood of them must not become a flood of ours. */
const MAX_LOCATES = 32;
const LOCATE_RETRY_AFTER_MS = 1_000;

/** The DHT forgets records after 48 hours. */
const REPUBLISH_MS = 12 * 60 * 60_000;
/** How often we look whether members have joined the DHT that do not have our descriptor yet. */
const PUBLISH_CHECK_MS = 5_000;

/** Announcements wait in memory, 100 bytes each; what does not fit is announced at the next start. */
const MAX_WAITING = 10_000;
const ANNOUNCE_TRIES = 5;
/**
 * An announcement has every node answer several questions. It is a hint that nobody waits for, so we rest for so many times as long as it
 * took, and a node that keeps many deposits a second has time for them.
 */
const ANNOUNCE_REST = 20;
const MAX_ANNOUNCE_PAUSE_MS = 10_000;
/** While somebody asks something of us, it waits; under a load that never ends not for longer than the longest rest. */
const BUSY_CHECK_MS = 250;
/** Between two old entries that are announced again at start: 20 a second leave the network and us idle. */
const REANNOUNCE_PAUSE_MS = 50;

export interface DiscoveryOptions {
  readonly dht: Dht;
  readonly self: PeerName;
  /** Our signed descriptor. */
  readonly descriptor: Uint8Array;
  readonly addressBook: NodeAddressBook;
  /** Whether there are other nodes at all. */
  readonly alone: boolean;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Whether other work is under way that somebody waits for. */
  readonly isBusy: () => boolean;
  /** Deposits whose ciphertext is here already. */
  readonly keptCiphertexts: () => AsyncIterable<Uint8Array>;
}

export interface Discovery {
  /** Tells the DHT, some time soon, that we keep the ciphertext of this deposit. */
  announce(tokenId: Uint8Array): void;
  /** We do not keep it any more: it will not be announced again, and expires. */
  withdraw(tokenId: Uint8Array): void;
  /** Members that may keep it. Empty when the DHT knows nothing or does not answer. @throws IntercloudError BUSY. */
  locate(tokenId: Uint8Array, signal: AbortSignal): Promise<readonly PeerName[]>;
  /** Asks the DHT for a member's newest descriptor; the address book has it then, if there is one. Never throws. */
  refresh(peer: PeerName, signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

export function startDiscovery(options: DiscoveryOptions): Discovery {
  const { dht, self, addressBook, clock, entropy } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const waiting = new Map<string, CID>();
  let wake = Promise.withResolvers<void>();
  let locates = 0;

  const hasPeers = () => dht.routingTable.size > 0;

  async function untilPeers(): Promise<void> {
    while (!hasPeers() && !signal.aborted) await pause(clock, 500, signal);
  }

  /** Tries until it is done, with growing pauses. */
  async function persist(tries: number, action: (either: AbortSignal) => Promise<boolean>): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    for (let attempt = 0; attempt < tries && !signal.aborted; attempt++) {
      await untilPeers();
      try {
        if (await withDeadline(clock, BACKGROUND_QUERY_MS, signal, action)) return;
      } catch {
        // the deadline, or a peer that went away; the next try may find others
      }
      await pause(clock, jittered(retryMs, entropy), signal);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }

  /** True when at least one other node has the record. */
  async function put(either: AbortSignal): Promise<boolean> {
    let accepted = 0;
    const key = nodeRecordKey(self);
    for await (const event of dht.put(key, options.descriptor, { signal: either })) {
      if (event.name === "PEER_RESPONSE" && event.messageName === "PUT_VALUE") accepted += 1;
      // A refusal comes as an error event behind the response.
      if (event.name === "QUERY_ERROR") accepted -= 1;
    }
    return accepted > 0;
  }

  async function publishDescriptor(): Promise<void> {
    while (!signal.aborted) {
      await untilPeers();
      const peers = dht.routingTable.size;
      const publishedAtMs = clock.nowMs();
      await persist(Number.POSITIVE_INFINITY, put);
      while (dht.routingTable.size <= peers && clock.nowMs() - publishedAtMs < REPUBLISH_MS && !signal.aborted) {
        await pause(clock, jittered(PUBLISH_CHECK_MS, entropy), signal);
      }
    }
  }

  async function provide(cid: CID, either: AbortSignal): Promise<boolean> {
    let told = 0;
    for await (const event of dht.provide(cid, { signal: either })) {
      if (event.name === "PEER_RESPONSE" && event.messageName === "ADD_PROVIDER") told += 1;
    }
    return told > 0;
  }

  async function untilQuiet(): Promise<void> {
    const latestMs = clock.nowMs() + MAX_ANNOUNCE_PAUSE_MS;
    while (options.isBusy() && clock.nowMs() < latestMs && !signal.aborted) await pause(clock, BUSY_CHECK_MS, signal);
  }

  async function announceWaiting(): Promise<void> {
    while (!signal.aborted) {
      if (waiting.size === 0) {
        wake = Promise.withResolvers();
        await wake.promise;
      }
      await untilQuiet();
      const [next] = waiting;
      if (next === undefined) continue;
      const [name, cid] = next;
      const begunAtMs = clock.nowMs();
      await persist(ANNOUNCE_TRIES, (either) => provide(cid, either));
      waiting.delete(name);
      const tookMs = clock.nowMs() - begunAtMs;
      await pause(clock, Math.min(REANNOUNCE_PAUSE_MS + ANNOUNCE_REST * tookMs, MAX_ANNOUNCE_PAUSE_MS), signal);
    }
  }

  async function announceKept(): Promise<void> {
    await untilPeers();
    for await (const tokenId of options.keptCiphertexts()) {
      if (signal.aborted) return;
      enqueue(tokenId);
      await pause(clock, REANNOUNCE_PAUSE_MS, signal);
      while (waiting.size > MAX_WAITING / 2 && !signal.aborted) await pause(clock, REANNOUNCE_PAUSE_MS, signal);
    }
  }

  function enqueue(tokenId: Uint8Array): void {
    const cid = cidOf(tokenId);
    if (waiting.size < MAX_WAITING) waiting.set(cid.toString(), cid);
    wake.resolve();
  }

  async function findProviders(tokenId: Uint8Array, outer: AbortSignal): Promise<readonly PeerName[]> {
    const found = new Set<PeerName>();
    const either = AbortSignal.any([outer, signal]);
    try {
      await withDeadline(clock, LOCATE_MS, either, async (deadline) => {
        for await (const event of dht.findProviders(cidOf(tokenId), { signal: deadline })) {
          if (event.name !== "PROVIDER") continue;
          for (const { id } of event.providers) if (addressBook.isMember(id.toString())) found.add(id.toString());
        }
      });
    } catch {
      // what was found until then is as good a hint
    }
    return [...found];
  }

  const work = options.alone ? [] : [publishDescriptor(), announceWaiting(), announceKept()];
  return {
    announce(tokenId) {
      if (!options.alone && !signal.aborted) enqueue(tokenId);
    },
    withdraw(tokenId) {
      const cid = cidOf(tokenId);
      waiting.delete(cid.toString());
      // Only our own copy of the entry; failing means that it is announced once more than needed.
      dht.cancelReprovide(cid).catch(() => undefined);
    },
    async locate(tokenId, outer) {
      if (!hasPeers()) return [];
      if (locates >= MAX_LOCATES) {
        const details = { retryAfterMs: LOCATE_RETRY_AFTER_MS };
        throw new IntercloudError("BUSY", "busy", "too many searches at once; try again soon", details);
      }
      locates += 1;
      try {
        return await findProviders(tokenId, outer);
      } finally {
        locates -= 1;
      }
    },
    async refresh(peer, outer) {
      if (!hasPeers()) return;
      const either = AbortSignal.any([outer, signal]);
      try {
        await withDeadline(clock, LOCATE_MS, either, async (deadline) => {
          // The validator puts every valid record that passes into the address book.
          for await (const _ of dht.get(nodeRecordKey(peer), { signal: deadline }));
        });
      } catch {
        // `get` throws for many reasons, also after it has seen what we want
      }
    },
    async stop() {
      stopping.abort();
      wake.resolve();
      await Promise.all(work);
    },
  };
}

/** Not the token id itself, which only those should know who have something to do with the deposit. */
function cidOf(tokenId: Uint8Array): CID {
  return CID.createV1(raw.code, createMultihash(SHA2_256, digestOf("intercloud/locate/v1", tokenId)));
}
