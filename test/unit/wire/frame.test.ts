import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { markPassing, releasePassed } from "../../../protocols/crypto/release.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { encodeCanonical } from "../../../protocols/wire/codec.ts";
import {
  createControlReader,
  encodeControl,
  parseFromAnswerer,
  parseFromAsker,
} from "../../../protocols/wire/control-frame.ts";
import { type ErrorDetails, IntercloudError, RemoteError } from "../../../protocols/wire/errors.ts";
import {
  createFrameReader,
  dataFrame,
  endFrame,
  failureFrame,
  type Item,
  messageFrame,
} from "../../../protocols/wire/frame.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { streamOf } from "../../support/streams.ts";

const vectors = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../vectors/wire/${name}.json`, import.meta.url), "utf8"));

interface ChannelVector {
  readonly name: string;
  readonly hex: string;
  readonly kind: Item["kind"];
  readonly code: string;
  readonly message: CborValue;
  readonly dataHex: string;
  readonly lengthBytes: number;
  readonly digestHex: string;
  readonly status: "busy";
  readonly details: ErrorDetails;
}
interface ControlVector {
  readonly name: string;
  readonly from: "asker" | "answerer";
  readonly hex: string;
  readonly keys: string[];
  readonly code: string;
}

const channelVectors: { valid: ChannelVector[]; wrong: ChannelVector[] } = vectors("channel-frames");
const controlVectors: { valid: ControlVector[]; wrong: ControlVector[] } = vectors("control-frames");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("frames of a payload stream", () => {
  test("a message stays when the memory that it came in is given back with the body behind it", async () => {
    const message = bytesOf(1_000, 1);
    const frames = [...messageFrame(encodeCanonical(message)), ...dataFrame([bytesOf(50_000, 2)], 50_000)];
    const next = createFrameReader(await streamOf(markPassing(new Uint8Array(Buffer.concat(frames)))));
    const first = await next();
    const data = await next();
    if (first?.kind !== "message" || data?.kind !== "data")
      throw new Error("a message and a piece of a body were sent");
    releasePassed(data.bytes);
    expect(data.bytes.length).toBe(0);
    expect(first.message).toEqual(message);
    expect(first.bytes).toEqual(encodeCanonical(message));
  });

  test.each(channelVectors.valid)("$name", async (vector) => {
    const next = createFrameReader(await streamOf(Buffer.from(vector.hex, "hex")));
    const item = (await next()) as Item;
    expect(item.kind).toBe(vector.kind);
    if (item.kind === "message") {
      expect(item.message).toEqual(vector.message);
      expect(hex(Buffer.concat(messageFrame(encodeCanonical(vector.message))))).toBe(vector.hex);
    }
    if (item.kind === "data") {
      expect(hex(item.bytes)).toBe(vector.dataHex);
      expect(hex(Buffer.concat(dataFrame([item.bytes], item.bytes.length)))).toBe(vector.hex);
    }
    if (item.kind === "end") {
      expect(item.summary.lengthBytes).toBe(vector.lengthBytes);
      expect(hex(item.summary.digest)).toBe(vector.digestHex);
      expect(hex(Buffer.concat(endFrame(item.summary)))).toBe(vector.hex);
    }
    if (item.kind === "failure") {
      expect(item.error).toBeInstanceOf(RemoteError);
      expect(item.error.status).toBe(vector.status);
      expect(item.error.details).toEqual(vector.details);
      const error = new IntercloudError("X", vector.status, "not sent", vector.details);
      expect(hex(Buffer.concat(failureFrame(error)))).toBe(vector.hex);
    }
    expect(await next()).toBeNull();
  });

  test.each(channelVectors.wrong)("wrong: $name", async (vector) => {
    const next = createFrameReader(await streamOf(Buffer.from(vector.hex, "hex")));
    expect(await errorOf(next())).toMatchObject({ code: vector.code, status: "bad-request" });
  });

  test.each(channelVectors.valid)("cut anywhere is TRUNCATED, never an end: $name", async (vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    for (let length = 1; length < bytes.length; length += 1) {
      const next = createFrameReader(await streamOf(bytes.subarray(0, length)));
      const readToEnd = async () => {
        while ((await next()) !== null);
      };
      expect(await errorOf(readToEnd())).toMatchObject({ code: "TRUNCATED", status: "unreachable" });
    }
  });

  test("chunks are not frames: any cutting and merging of the stream gives the same items", async () => {
    const whole = Buffer.concat(channelVectors.valid.map(({ hex }) => Buffer.from(hex, "hex")));
    const itemsOf = async (chunks: Uint8Array[]) => {
      const next = createFrameReader(await streamOf(...chunks));
      const items: string[] = [];
      let data = "";
      for (let item = await next(); item !== null; item = await next()) {
        if (item.kind === "data") {
          data += hex(item.bytes);
          continue;
        }
        if (data) items.push(data);
        data = "";
        items.push(item.kind === "failure" ? item.error.code : JSON.stringify(item));
      }
      return items;
    };
    const expected = await itemsOf([whole]);
    // of DATA frames one behind the other it does not show where they were cut
    expect(expected).toHaveLength(channelVectors.valid.filter(({ name }) => name !== "empty data").length);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 40 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const chunks = at.slice(1).map((end, i) => Buffer.from(whole.subarray(at[i], end)));
        expect(await itemsOf(chunks)).toEqual(expected);
      }),
    );
  });

  test("random bytes end in one of our errors", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const next = createFrameReader(await streamOf(bytes));
        const readToEnd = async () => {
          while ((await next()) !== null);
        };
        await readToEnd().catch((error) => expect(error).toBeInstanceOf(IntercloudError));
      }),
    );
  });

  test("a failure never carries our text or details that are not for the wire", () => {
    const details = {
      peers: ["not a peer!"],
      requestId: "with space",
      secret: "hush",
      answered: -1,
      retryAfterMs: 1.5,
    };
    const [, payload] = failureFrame(new IntercloudError("X", "internal", "our text", details));
    expect(payload).toEqual(encodeCanonical({ status: "internal" }));
  });
});

describe("frames of a control stream", () => {
  const parse = { asker: parseFromAsker, answerer: parseFromAnswerer };

  test.each(controlVectors.valid)("$name", async ({ hex: whole, from, keys }) => {
    const next = createControlReader(await streamOf(Buffer.from(whole, "hex")));
    const frame = await next();
    const message = parse[from](frame?.value as CborValue);
    expect(Object.keys(message).sort()).toEqual(keys);
    expect(hex(encodeControl(message as { [key: string]: CborValue }))).toBe(whole);
    expect(frame?.lengthBytes).toBe(whole.length / 2 - 4);
    expect(await next()).toBeNull();
  });

  test.each(controlVectors.wrong)("wrong: $name", async ({ hex: whole, from, code }) => {
    const next = createControlReader(await streamOf(Buffer.from(whole, "hex")));
    const read = async () => parse[from]((await next())?.value as CborValue);
    expect(await errorOf(read())).toMatchObject({ code, status: "bad-request" });
  });

  test.each(controlVectors.valid)("cut anywhere is TRUNCATED: $name", async ({ hex: whole }) => {
    const bytes = Buffer.from(whole, "hex");
    for (let length = 1; length < bytes.length; length += 1) {
      const next = createControlReader(await streamOf(bytes.subarray(0, length)));
      expect(await errorOf(next())).toMatchObject({ code: "TRUNCATED" });
    }
  });

  test("a message over the limit is refused before it is sent", () => {
    expect(() => encodeControl({ id: 1, body: bytesOf(1024 * 1024, 1) })).toThrow(
      expect.objectContaining({ code: "MESSAGE_TOO_LONG" }),
    );
  });
});
