/** The private DHT over real libp2p hosts on the loopback address. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { type AddressRecord, createAddressBook, type NodeAddressBook } from "../../../node/address-book.ts";
import { type Connections, keepConnections } from "../../../node/connections.ts";
import { type Dht, dhtOf, dhtServices, nodeRecordKey } from "../../../node/dht.ts";
import { type Discovery, startDiscovery } from "../../../node/discovery.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { createHost, type Host } from "../../../protocols/wire/libp2p-host.ts";
import type { PeerName } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { freePorts } from "../../../testnet/ports.ts";
import { eventually } from "./eventually.ts";

interface Peer {
  readonly peer: PeerName;
  readonly host: Host;
  readonly dht: Dht;
  readonly book: NodeAddressBook;
  readonly connections: Connections;
  readonly discovery: Discovery;
  stop(): Promise<void>;
}

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const running = new Set<{ stop(): Promise<void> }>();

afterEach(async () => {
  for (const each of running) await each.stop();
  running.clear();
});

// A record here is JSON with a digest in place of the signature: what it says is not the matter of these tests.
function writeRecord(record: AddressRecord): Uint8Array {
  const body = JSON.stringify(record);
  return Buffer.from(JSON.stringify({ body, digest: createHash("sha256").update(body).digest("hex") }));
}

function readRecord(bytes: Uint8Array): AddressRecord {
  const { body, digest } = JSON.parse(Buffer.from(bytes).toString("utf8")) as { body: string; digest: string };
  if (createHash("sha256").update(body).digest("hex") !== digest) throw new Error("bad record");
  return JSON.parse(body) as AddressRecord;
}

interface Member {
  readonly seed: Uint8Array;
  readonly record: AddressRecord;
}

async function makeMembers(count: number): Promise<Member[]> {
  const ports = await freePorts(count);
  return ports.map((port) => {
    const seed = entropy(32);
    const peer = peerNameOf(signerFromSeed(seed).publicKey);
    return { seed, record: { peer, addresses: [`/ip4/127.0.0.1/tcp/${port}`], issuedAtMs: 1_000 } };
  });
}

interface StartOptions {
  /** Where and since when it is, if not as in the federation. */
  readonly now?: AddressRecord;
  readonly kept?: readonly Uint8Array[];
  readonly isBusy?: () => boolean;
}

async function start(members: readonly Member[], { seed, record }: Member, options: StartOptions = {}): Promise<Peer> {
  const { peer } = record;
  const own = options.now ?? record;
  const book = createAddressBook({ members: members.map((member) => member.record), readRecord });
  const services = dhtServices({
    isMember: book.isMember,
    checkNodeRecord: book.learn,
    newestNodeRecord: book.newestOf,
  });
  const host = await createHost({ privateKeySeed: seed, listen: own.addresses, services });
  const dht = dhtOf(host);
  const discovery = startDiscovery({
    ...{ dht, self: peer, addressBook: book, alone: members.length === 1, clock: systemClock, entropy },
    descriptor: writeRecord(own),
    isBusy: options.isBusy ?? (() => false),
    async *keptCiphertexts() {
      yield* options.kept ?? [];
    },
  });
  const others = members.map((member) => member.record.peer).filter((name) => name !== peer);
  const { refresh } = discovery;
  const connections = keepConnections({
    ...{ host, clock: systemClock, entropy, members: others, addressBook: book, refresh },
  });
  const stop = async () => {
    running.delete(started);
    await Promise.all([connections.stop(), discovery.stop()]);
    await host.stop();
  };
  const started = { peer, host, dht, book, connections, discovery, stop };
  running.add(started);
  return started;
}

const startAll = (members: readonly Member[]) => Promise.all(members.map((member) => start(members, member)));

test("members connect, announce and find; what others keep is found by all, what nobody keeps is not", async () => {
  const members = await makeMembers(5);
  const tokenId = entropy(32);
  const early = await start(members, members[0]!, { kept: [tokenId] });
  const rest = await Promise.all(members.slice(1).map((member) => start(members, member)));
  const all = [early, ...rest];
  await eventually("all are connected", () => all.every(({ connections }) => connections.connected() === 4));
  await eventually("what was kept at start is found", async () => {
    const answers = await Promise.all(all.map((each) => each.discovery.locate(tokenId, AbortSignal.timeout(5_000))));
    return answers.every((peers) => peers.includes(early.peer));
  });
  const fresh = entropy(32);
  rest[2]!.discovery.announce(fresh);
  rest[3]!.discovery.announce(fresh);
  await eventually("both keepers are found", async () => {
    const peers = await early.discovery.locate(fresh, AbortSignal.timeout(5_000));
    return peers.includes(rest[2]!.peer) && peers.includes(rest[3]!.peer);
  });
  expect(await early.discovery.locate(entropy(32), AbortSignal.timeout(5_000))).toEqual([]);
});

test("a node that is busy announces when it is not, and a withdrawn deposit never", async () => {
  const members = await makeMembers(3);
  let busy = true;
  const [keeper, ...others] = await Promise.all(
    members.map((member, i) => start(members, member, i === 0 ? { isBusy: () => busy } : {})),
  );
  await eventually("all are connected", () => others.every(({ connections }) => connections.connected() === 2));
  const [kept, withdrawn, early] = [entropy(32), entropy(32), entropy(32)];
  const found = (tokenId: Uint8Array) => others[0]!.discovery.locate(tokenId, AbortSignal.timeout(5_000));
  keeper!.discovery.announce(withdrawn);
  keeper!.discovery.announce(kept);
  others[1]!.discovery.announce(early);
  await eventually("who is not busy is found", async () => (await found(early)).length === 1);
  keeper!.discovery.withdraw(withdrawn);
  expect(await found(kept)).toEqual([]);
  busy = false;
  await eventually("it is found as well", async () => (await found(kept)).includes(keeper!.peer));
  expect(await found(withdrawn)).toEqual([]);
});

test("a member that comes back on another port is known there, and the old record cannot come back", async () => {
  const members = await makeMembers(4);
  const all = await startAll(members);
  await eventually("all are connected", () => all.every(({ connections }) => connections.connected() === 3));
  await all[0]!.stop();
  const [port] = await freePorts(1);
  const moved: AddressRecord = {
    peer: all[0]!.peer,
    addresses: [`/ip4/127.0.0.1/tcp/${port}`],
    issuedAtMs: 2_000,
  };
  const again = await start(members, members[0]!, { now: moved });
  await eventually("the others know the new address", () =>
    all.slice(1).every(({ book }) => book.addressesOf(again.peer)[0] === moved.addresses[0]),
  );
  // Somebody who starts now, with the old federation file, learns it from the others.
  await all[1]!.stop();
  const late = await start(members, members[1]!);
  await eventually("a late one finds out", async () => {
    await late.discovery.refresh(again.peer, AbortSignal.timeout(5_000));
    return late.book.addressesOf(again.peer)[0] === moved.addresses[0];
  });
  const old = writeRecord(members[0]!.record);
  const refused: string[] = [];
  for await (const event of all[2]!.dht.put(nodeRecordKey(again.peer), old, { signal: AbortSignal.timeout(5_000) })) {
    refused.push(event.name);
  }
  expect(refused).toContain("QUERY_ERROR");
  expect(late.book.addressesOf(again.peer)).toEqual(moved.addresses);
});

test("a stranger is refused: it can neither store nor ask, and is in no routing table", async () => {
  const members = await makeMembers(2);
  const [first, second] = await startAll(members);
  await eventually(
    "they know each other",
    () => first!.dht.routingTable.size === 1 && second!.dht.routingTable.size === 1,
  );
  const [outsider] = await makeMembers(1);
  // It believes itself a member.
  const stranger = await start([...members, outsider!], outsider!);
  await eventually("it is connected", () => stranger.connections.connected() === 2);
  const events: string[] = [];
  const value = writeRecord(outsider!.record);
  const query = async () => {
    for await (const event of stranger.dht.put(nodeRecordKey(stranger.peer), value, {
      signal: AbortSignal.timeout(3_000),
    })) {
      events.push(event.name);
    }
  };
  await query().catch(() => events.push("ENDED"));
  expect(events).not.toContain("PEER_RESPONSE");
  expect([first!.dht.routingTable.size, second!.dht.routingTable.size]).toEqual([1, 1]);
});

test("a federation of one needs no DHT, and stops at once", async () => {
  const members = await makeMembers(1);
  const alone = await start(members, members[0]!);
  alone.discovery.announce(entropy(32));
  expect(await alone.discovery.locate(entropy(32), AbortSignal.timeout(1_000))).toEqual([]);
  expect(alone.connections.everConnected()).toBe(false);
});
