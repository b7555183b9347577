/**
 * The anchor: a small file outside of the database that knows how far the database must have come. It is written after each
 * commit, before the commit is acknowledged; so a database that falls behind it has lost something.
 *
 *   HEAD ::= <slot 0> <slot 1>        commit k is written to slot k mod 2, so the one before survives a torn write
 *   slot ::= <sequence: u64> <chain: 32> <HMAC-SHA256: 32>, filled up with zeros to 512 bytes, a disk's smallest sector
 *
 * It cannot notice that the whole folder, anchor included, was put back to an older state: nothing inside a folder can.
 */
import { createHmac } from "node:crypto";
import { constants, type FileHandle, open } from "node:fs/promises";
import { equalBytes } from "../../protocols/crypto/digest.ts";
import { createFileAtomic } from "../../runtime/atomic-file.ts";

const SLOT_BYTES = 512;
const BODY_BYTES = 8 + 32;
const MAC_BYTES = 32;

export interface AnchorPoint {
  readonly sequence: number;
  readonly chain: Uint8Array;
}

export interface Anchor {
  /** The newest point that was found at open. */
  readonly point: AnchorPoint;
  /** One slot did not check: its write was cut off, so the commit it stood for is in the database. */
  readonly torn: boolean;
  /** On disk when it resolves. */
  write(point: AnchorPoint): Promise<void>;
  close(): Promise<void>;
}

export async function createAnchorFile(path: string, anchorKey: Uint8Array, point: AnchorPoint): Promise<void> {
  const slot = encodeSlot(anchorKey, point);
  await createFileAtomic(path, Buffer.concat([slot, slot]), 0o600);
}

/** Undefined when neither slot checks. @throws the system's ENOENT when there is no file. */
export async function openAnchor(path: string, anchorKey: Uint8Array): Promise<Anchor | undefined> {
  // A write is on disk when it returns: one call instead of two.
  const file = await open(path, constants.O_RDWR | constants.O_DSYNC);
  try {
    const bytes = Buffer.alloc(2 * SLOT_BYTES);
    await file.read(bytes, 0, bytes.length, 0);
    const slots = [0, 1].map((index) =>
      decodeSlot(anchorKey, bytes.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES)),
    );
    const valid = slots.filter((slot) => slot !== undefined).sort((a, b) => b.sequence - a.sequence);
    const newest = valid[0];
    if (newest === undefined) {
      await file.close();
      return undefined;
    }
    return {
      point: newest,
      torn: valid.length < slots.length,
      write: (point) => writeSlot(file, anchorKey, point),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function writeSlot(file: FileHandle, anchorKey: Uint8Array, point: AnchorPoint): Promise<void> {
  const { bytesWritten } = await file.write(
    encodeSlot(anchorKey, point),
    0,
    SLOT_BYTES,
    (point.sequence % 2) * SLOT_BYTES,
  );
  if (bytesWritten !== SLOT_BYTES) throw new Error(`only ${bytesWritten} of ${SLOT_BYTES} bytes were written`);
}

function encodeSlot(anchorKey: Uint8Array, point: AnchorPoint): Uint8Array {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.writeBigUInt64BE(BigInt(point.sequence), 0);
  slot.set(point.chain, 8);
  slot.set(slotMac(anchorKey, slot), BODY_BYTES);
  return slot;
}

function decodeSlot(anchorKey: Uint8Array, slot: Buffer): AnchorPoint | undefined {
  if (!equalBytes(slot.subarray(BODY_BYTES, BODY_BYTES + MAC_BYTES), slotMac(anchorKey, slot))) return undefined;
  return { sequence: Number(slot.readBigUInt64BE(0)), chain: new Uint8Array(slot.subarray(8, BODY_BYTES)) };
}

function slotMac(anchorKey: Uint8Array, slot: Uint8Array): Uint8Array {
  return createHmac("sha256", anchorKey).update(slot.subarray(0, BODY_BYTES)).digest();
}
