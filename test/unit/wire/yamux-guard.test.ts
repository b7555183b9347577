import type { MessageStream } from "@libp2p/interface";
import fc from "fast-check";
import { expect, test } from "vitest";
import { guardYamux } from "../../../protocols/wire/yamux-guard.ts";

const LIMIT = 1_000;

function guarded(): { receive: (bytes: Uint8Array) => void; broken: () => boolean } {
  const target = new EventTarget();
  let broken = false;
  guardYamux(Object.assign(target, { abort: () => (broken = true) }) as unknown as MessageStream, LIMIT);
  return {
    receive: (data) => void target.dispatchEvent(Object.assign(new Event("message"), { data })),
    broken: () => broken,
  };
}

/** type 0 is data; for the other types the length is a number of something else, and nothing follows. */
function frame(type: number, length: number): Buffer {
  const header = Buffer.alloc(12);
  header[1] = type;
  header.writeUInt32BE(length, 8);
  return type === 0 && length <= LIMIT ? Buffer.concat([header, Buffer.alloc(length, 0xff)]) : header;
}

test("honest frames pass however they are cut; one over the limit breaks the connection", () => {
  const honest = fc.oneof(
    fc.record({ type: fc.constant(0), length: fc.integer({ min: 0, max: LIMIT }) }),
    fc.record({ type: fc.integer({ min: 1, max: 3 }), length: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  );
  fc.assert(
    fc.property(fc.array(honest, { maxLength: 20 }), fc.integer({ min: 1, max: 50 }), (frames, chunkBytes) => {
      const { receive, broken } = guarded();
      const receiveCut = (bytes: Uint8Array) => {
        for (let at = 0; at < bytes.length; at += chunkBytes) receive(bytes.subarray(at, at + chunkBytes));
      };
      receiveCut(Buffer.concat(frames.map(({ type, length }) => frame(type, length))));
      expect(broken()).toBe(false);
      receiveCut(frame(0, LIMIT + 1));
      expect(broken()).toBe(true);
    }),
  );
});
