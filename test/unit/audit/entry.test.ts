import { createCipheriv, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_EVENT_BYTES } from "../../../protocols/audit/constants.ts";
import { isChained, MAX_ENTRY_BYTES } from "../../../protocols/audit/entry.ts";
import {
  decodeEvent,
  entryHash,
  eventKeyOf,
  logKeyOf,
  makeEntry,
  openEntry,
  readEntry,
  readSignedHead,
  signHead,
  startHash,
} from "../../../protocols/audit/index.ts";
import { digestOf } from "../../../protocols/crypto/digest.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { flipBit, fromHex, loadVectors, toHex } from "../../support/vectors.ts";
import { NOW_MS } from "./log.ts";

const golden = loadVectors<{
  nodeSeed: string;
  auditKey: string;
  logId: string;
  vectors: { timeMs: number; eventId: string; event: string; eventKey: string; entry: string; signedHead: string }[];
}>("audit/golden");
const signer = signerFromSeed(fromHex(golden.nodeSeed));
const peer = peerNameOf(signer.publicKey);
const logId = fromHex(golden.logId);
const logKey = logKeyOf(fromHex(golden.auditKey), logId);

const random = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const fields = (event: Uint8Array, eventId = random(16)) => ({ sequence: 7, timeMs: NOW_MS, eventId, event });
const keyOf = (entry: Uint8Array) => eventKeyOf(logKey, readEntry(entry)?.eventId ?? new Uint8Array());

test("a log has the golden bytes: entries, keys, heads", () => {
  let hash = startHash(logId, peer);
  for (const [index, vector] of golden.vectors.entries()) {
    const eventId = fromHex(vector.eventId);
    const { timeMs } = vector;
    const entry = makeEntry(logKey, hash, { sequence: index + 1, timeMs, eventId, event: fromHex(vector.event) });
    expect(toHex(entry)).toBe(vector.entry);
    expect(toHex(eventKeyOf(logKey, eventId))).toBe(vector.eventKey);
    expect(isChained(hash, entry)).toBe(true);
    hash = entryHash(entry);
    expect(toHex(signHead({ peer, log: logId, count: index + 1, hash, timeMs }, signer))).toBe(vector.signedHead);
    expect(readEntry(entry)).toEqual({ sequence: index + 1, timeMs, eventId });
    expect(toHex(openEntry(fromHex(vector.eventKey), entry) ?? new Uint8Array())).toBe(vector.event);
    expect(decodeEvent(fromHex(vector.event)).kind).toMatch(/^(started|burnt|served)$/);
  }
});

test("whatever bit of a golden entry or head is flipped, it does not check", () => {
  const { entry, eventKey, signedHead } = golden.vectors[0]!;
  const start = startHash(logId, peer);
  for (let bit = 0; bit < fromHex(entry).length * 8; bit += 1) {
    const flipped = flipBit(fromHex(entry), bit);
    expect(readEntry(flipped) !== undefined && isChained(start, flipped), `bit ${bit}`).toBe(false);
    // The hash at its end is the chain's business.
    if (bit < (flipped.length - 32) * 8) expect(openEntry(fromHex(eventKey), flipped), `bit ${bit}`).toBeUndefined();
  }
  for (let bit = 0; bit < fromHex(signedHead).length * 8; bit += 1) {
    const valid = (() => {
      try {
        return readSignedHead(flipBit(fromHex(signedHead), bit)).signatureValid;
      } catch {
        return false;
      }
    })();
    expect(valid, `bit ${bit}`).toBe(false);
  }
});

describe("every event under its own key", () => {
  test("the key of one opens no other, and the same event twice has nothing in common", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 2, maxLength: 8 }), (events) => {
        const entries = events.map((event) => makeEntry(logKey, random(32), fields(event)));
        for (const [i, entry] of entries.entries()) {
          for (const [j, other] of entries.entries()) {
            const opened = openEntry(keyOf(other), entry);
            if (i === j) expect(opened).toEqual(new Uint8Array(events[i]!));
            else expect(opened).toBeUndefined();
          }
        }
      }),
      { numRuns: 50 },
    );
    const event = new Uint8Array(64).fill(9);
    const [one, two] = [makeEntry(logKey, random(32), fields(event)), makeEntry(logKey, random(32), fields(event))];
    const sealed = (entry: Uint8Array) => toHex(entry.subarray(65, 65 + 64));
    expect(sealed(one)).not.toBe(sealed(two));
    expect(sealed(one)).not.toBe(toHex(event));
  });

  test("the same event id in another log, or under another node's key, is another key", () => {
    const eventId = random(16);
    const auditKey = fromHex(golden.auditKey);
    const keys = [
      eventKeyOf(logKeyOf(auditKey, logId), eventId),
      eventKeyOf(logKeyOf(auditKey, random(16)), eventId),
      eventKeyOf(logKeyOf(random(32), logId), eventId),
      eventKeyOf(logKeyOf(auditKey, logId), random(16)),
    ];
    expect(new Set(keys.map(toHex)).size).toBe(keys.length);
  });

  test("an entry stands for one key: what opens under a second one as well is refused", () => {
    const entry = makeEntry(logKey, random(32), fields(new Uint8Array(32)));
    // The node seals another event under another key and leaves the rest as it is.
    const otherKey = random(32);
    const cipher = createCipheriv("aes-256-gcm", otherKey, new Uint8Array(12));
    cipher.setAAD(entry.subarray(0, 65));
    const sealed = Buffer.concat([cipher.update(new Uint8Array(32).fill(1)), cipher.final(), cipher.getAuthTag()]);
    const forged = Buffer.concat([entry.subarray(0, 65), sealed, entry.subarray(entry.length - 32)]);
    expect(openEntry(otherKey, forged)).toBeUndefined();
    // With the commitment to that key in it, it opens: but then the first key is the wrong one.
    forged.set(digestOf("intercloud/audit-key/v1", otherKey), 33);
    expect(openEntry(keyOf(entry), forged)).toBeUndefined();
  });

  test("an event that was moved to another place does not open there", () => {
    const entry = makeEntry(logKey, random(32), fields(new Uint8Array(32)));
    const moved = entry.slice();
    moved[8] = 8;
    expect(readEntry(moved)?.sequence).toBe(8);
    expect(openEntry(keyOf(entry), entry)).toEqual(new Uint8Array(32));
    expect(openEntry(keyOf(entry), moved)).toBeUndefined();
  });
});

test("bytes that are no entry are said to be none", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(openEntry(random(32), bytes)).toBeUndefined();
    }),
  );
  const entry = makeEntry(logKey, random(32), fields(new Uint8Array(0)));
  for (let length = 0; length < entry.length; length += 1) expect(readEntry(entry.subarray(0, length))).toBeUndefined();
  expect(readEntry(new Uint8Array(MAX_ENTRY_BYTES + 1).fill(1))).toBeUndefined();
  const distant = entry.slice();
  distant.fill(255, 9, 17);
  expect(readEntry(distant)).toBeUndefined();
});

test("an event has an upper length", () => {
  const longest = makeEntry(logKey, random(32), fields(new Uint8Array(MAX_EVENT_BYTES)));
  expect(longest.length).toBe(MAX_ENTRY_BYTES);
  expect(openEntry(keyOf(longest), longest)?.length).toBe(MAX_EVENT_BYTES);
  expect(() => makeEntry(logKey, random(32), fields(new Uint8Array(MAX_EVENT_BYTES + 1)))).toThrow(
    expect.objectContaining({ code: "EVENT_TOO_LONG" }),
  );
});
