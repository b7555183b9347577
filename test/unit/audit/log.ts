/** Whole logs made by hand, so that a test can change any part of them. */
import { randomBytes } from "node:crypto";
import {
  type AuditEvent,
  auditChange,
  entryHash,
  logKeyOf,
  makeEntry,
  signHead,
  startHash,
} from "../../../protocols/audit/index.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
export const NOW_MS = 1_700_000_000_000;

export interface MadeLog {
  readonly signer: Signer;
  readonly peer: string;
  readonly logId: Uint8Array;
  readonly logKey: Uint8Array;
  readonly entries: readonly Uint8Array[];
  /** The head that was signed when there were so many entries. */
  headAt(count: number): Uint8Array;
}

export function encoded(event: AuditEvent): Uint8Array {
  const change = auditChange(event);
  if (change.kind !== "append") throw new Error("an event is not appended");
  return change.event;
}

export function makeLog(count: number, signer: Signer = newSigner(entropy)): MadeLog {
  const peer = peerNameOf(signer.publicKey);
  const logId = entropy(16);
  const logKey = logKeyOf(entropy(32), logId);
  const entries: Uint8Array[] = [];
  let hash = startHash(logId, peer);
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const event = encoded({ kind: "linked", tokenId: entropy(32) });
    const entry = makeEntry(logKey, hash, { sequence, timeMs: NOW_MS + sequence, eventId: entropy(16), event });
    entries.push(entry);
    hash = entryHash(entry);
  }
  return {
    ...{ signer, peer, logId, logKey, entries },
    headAt(at) {
      const last = entries[at - 1];
      if (last === undefined) throw new Error(`there is no entry ${at}`);
      return signHead({ peer, log: logId, count: at, hash: entryHash(last), timeMs: NOW_MS + at }, signer);
    },
  };
}

export async function* inOrder(entries: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* entries;
}
