/**
 * Where the members of the federation are: for each the newest descriptor that it signed and that came our way, from
 * federation.json or from the DHT. Older ones are refused, so that a replayed record cannot bring back an old address.
 * This is kept in memory only: whoever lies here can make a dial fail, and libp2p proves who answered.
 */
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { PeerName } from "../protocols/wire/transport.ts";

/** What a descriptor says about addresses. */
export interface AddressRecord {
  readonly peer: PeerName;
  /** Multiaddrs. */
  readonly addresses: readonly string[];
  readonly issuedAtMs: number;
}

export interface AddressBookOptions {
  /** All members of the federation, as its file describes them. */
  readonly members: readonly AddressRecord[];
  /** Decodes a descriptor and checks its signature. @throws when it is not valid. */
  readonly readRecord: (bytes: Uint8Array) => AddressRecord;
}

export interface NodeAddressBook {
  isMember(peer: PeerName): boolean;
  /** Empty when the peer is unknown. */
  addressesOf(peer: PeerName): readonly string[];
  /** Takes a record that came from anybody. @throws IntercloudError NOT_A_MEMBER, WRONG_RECORD, OLD_RECORD. */
  learn(peer: PeerName, bytes: Uint8Array): void;
  /** The index of the newest of several records; those that are not valid do not count. */
  newestOf(records: readonly Uint8Array[]): number;
}

export function createAddressBook({ members, readRecord }: AddressBookOptions): NodeAddressBook {
  const newest = new Map(members.map((record) => [record.peer, record]));

  function issuedAtMs(bytes: Uint8Array): number {
    try {
      return readRecord(bytes).issuedAtMs;
    } catch {
      return -1;
    }
  }

  return {
    isMember: (peer) => newest.has(peer),
    addressesOf: (peer) => newest.get(peer)?.addresses ?? [],
    learn(peer, bytes) {
      const known = newest.get(peer);
      if (known === undefined)
        throw new IntercloudError("NOT_A_MEMBER", "refused", "this peer is not in the federation");
      const record = readRecord(bytes);
      if (record.peer !== peer) throw new IntercloudError("WRONG_RECORD", "refused", "the record is of another peer");
      if (record.issuedAtMs < known.issuedAtMs) {
        throw new IntercloudError("OLD_RECORD", "conflict", "a newer record of this peer is known");
      }
      newest.set(peer, record);
    },
    newestOf(records) {
      const times = records.map(issuedAtMs);
      return times.indexOf(Math.max(...times));
    },
  };
}
