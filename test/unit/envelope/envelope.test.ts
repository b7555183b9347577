/** Envelopes: the golden ones (test/vectors/age), every way to cut their streams, and everything that may be wrong with them. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CHUNK_BYTES,
  MAX_HEADER_BYTES,
  PAYLOAD_NONCE_BYTES,
  TAG_BYTES,
} from "../../../protocols/envelope/constants.ts";
import { readEnvelope, sealEnvelope } from "../../../protocols/envelope/index.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { flipBit, fromHex, loadVectors } from "../../support/vectors.ts";

interface Golden {
  readonly name: string;
  readonly lengthBytes: number;
  readonly fileDigest: string;
}

const golden = loadVectors<{
  readonly tokenText: string;
  readonly envelopeKey: string;
  readonly fileKey: string;
  readonly nonce: string;
  readonly vectors: readonly Golden[];
  readonly readable: readonly (Golden & { readonly file: string })[];
  readonly wrong: readonly { readonly name: string; readonly code: string; readonly file: string }[];
}>("age/intercloud-v1");

const { tokenText } = golden;
const envelopeKey = fromHex(golden.envelopeKey);
const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

const messageOf = (lengthBytes: number) => new Uint8Array(Buffer.alloc(lengthBytes, "0123456789abcdef"));
const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A new envelope that draws the random bytes of the golden files. */
function newEnvelope() {
  const drawn = [fromHex(golden.fileKey), fromHex(golden.nonce)];
  const entropy = (lengthBytes: number): Uint8Array => {
    const bytes = drawn.shift();
    if (bytes?.length !== lengthBytes) throw new Error(`nobody should want ${lengthBytes} bytes now`);
    return bytes;
  };
  return { envelopeKey, tokenText, entropy };
}

async function sealed(message: Uint8Array, chunkBytes = 100_000): Promise<Uint8Array> {
  return await collect(sealEnvelope(newEnvelope(), sourceOf(message, chunkBytes)));
}

async function opened(file: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return await collect(await (await readEnvelope(file)).open(envelopeKey));
}

/** What is released of a file, and how its reading ends. */
async function outcomeOf(file: Uint8Array) {
  const released: Uint8Array[] = [];
  try {
    const message = await (await readEnvelope(sourceOf(file, 10_007))).open(envelopeKey);
    for await (const bytes of message) released.push(bytes);
    return { released: Buffer.concat(released), error: undefined };
  } catch (error) {
    return { released: Buffer.concat(released), error: error as { code?: string; status?: string } };
  }
}

/** The same bytes in pieces of these lengths, over and over; an empty piece now and then. */
async function* cutAt(bytes: Uint8Array, lengths: readonly number[]): AsyncIterable<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const length = lengths[i % lengths.length] ?? 1;
    yield bytes.slice(at, at + length);
    at += length;
  }
}

/** Lengths near the edges of chunks, and any others. */
const length = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(...[1, 2].flatMap((n) => [-1, 0, 1].map((d) => n * CHUNK_BYTES + d))),
  fc.integer({ min: 0, max: 3 * CHUNK_BYTES }),
);
const cuts = fc.oneof(
  fc
    .array(fc.integer({ min: 0, max: 2 * CHUNK_BYTES }), { minLength: 1, maxLength: 8 })
    .filter((all) => all.some((n) => n > 50)),
  fc.constantFrom([CHUNK_BYTES], [SEALED_CHUNK_BYTES], [CHUNK_BYTES - 1, 2], [7 * CHUNK_BYTES]),
);

describe("an envelope", () => {
  it.each(golden.vectors)("of $name has the golden bytes", async ({ lengthBytes, fileDigest }) => {
    for (const chunkBytes of [1_000, CHUNK_BYTES, 1_000_000]) {
      const file = await sealed(messageOf(lengthBytes), chunkBytes);
      expect(digest(file)).toBe(fileDigest);
      expect(Buffer.compare(await opened(sourceOf(file, chunkBytes)), messageOf(lengthBytes))).toBe(0);
    }
  });

  it.each(golden.readable)("with $name is read", async ({ file, lengthBytes }) => {
    expect(Buffer.compare(await opened(sourceOf(Buffer.from(file, "base64"), 50)), messageOf(lengthBytes))).toBe(0);
  });

  it.each(golden.wrong)("with $name is refused: $code", async ({ file, code }) => {
    const status = code === "NOT_OUR_FILE" ? "bad-request" : "integrity";
    const { released, error } = await outcomeOf(Buffer.from(file, "base64"));
    expect({ error, length: released.length }).toMatchObject({ error: { code, status }, length: 0 });
  });

  it("is the same file however its message is cut, and gives it back however the file is cut", async () => {
    await fc.assert(
      fc.asyncProperty(length, cuts, cuts, async (lengthBytes, messageCuts, fileCuts) => {
        const message = bytesOf(lengthBytes, 1);
        const whole = await sealed(message, CHUNK_BYTES);
        const cut = await collect(sealEnvelope(newEnvelope(), cutAt(message, messageCuts)));
        expect(Buffer.compare(cut, whole)).toBe(0);
        expect(Buffer.compare(await opened(cutAt(whole, fileCuts)), message)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("names its deposit before it is opened, and leaves the bytes that it is given as they were", async () => {
    const message = bytesOf(3 * CHUNK_BYTES, 2);
    const before = message.slice();
    const file = await sealed(message, CHUNK_BYTES);
    expect((await readEnvelope(sourceOf(file, 100))).tokenText).toBe(tokenText);
    expect(Buffer.from(file).toString("latin1").split("\n")[1]).toBe(`-> intercloud/v1 ${tokenText}`);
    const fileBefore = file.slice();
    await opened(sourceOf(file, SEALED_CHUNK_BYTES));
    expect(Buffer.compare(message, before) + Buffer.compare(file, fileBefore)).toBe(0);
  });

  it("is made and read as it comes, and takes no more than it needs", async () => {
    let readChunks = 0;
    async function* counted(): AsyncIterable<Uint8Array> {
      for (; readChunks < 100; readChunks += 1) yield bytesOf(CHUNK_BYTES, readChunks);
    }
    const file = sealEnvelope(newEnvelope(), counted());
    const envelope = await readEnvelope(file);
    expect(readChunks).toBe(0);
    for await (const bytes of await envelope.open(envelopeKey)) {
      expect(Buffer.compare(bytes, bytesOf(CHUNK_BYTES, 0))).toBe(0);
      break;
    }
    expect(readChunks).toBeLessThan(5);
  });

  it("ends its source when nobody wants more of it", async () => {
    const closed: string[] = [];
    async function* source(name: string, bytes: Uint8Array): AsyncIterable<Uint8Array> {
      try {
        yield* sourceOf(bytes, 1_000);
        await new Promise(() => undefined);
      } finally {
        closed.push(name);
      }
    }
    const file = await sealed(bytesOf(5 * CHUNK_BYTES, 1));
    for await (const _ of sealEnvelope(newEnvelope(), source("encrypted", bytesOf(200_000, 1)))) {
      if (_.length > 1_000) break;
    }
    for await (const _ of await (await readEnvelope(source("decrypted", file))).open(envelopeKey)) break;
    await (await readEnvelope(source("not opened", file))).close();
    await errorOf(readEnvelope(source("no age file", bytesOf(2_000, 1))));
    await errorOf(readEnvelope(source("not ours", Buffer.from(golden.wrong[0]?.file ?? "", "base64"))));
    expect(closed).toEqual(["encrypted", "decrypted", "not opened", "no age file", "not ours"]);
  });

  it("passes on what its source fails with", async () => {
    async function* failing(): AsyncIterable<Uint8Array> {
      yield bytesOf(200_000, 1);
      throw new Error("no more");
    }
    const file = sealEnvelope(newEnvelope(), failing());
    await expect(collect(file)).rejects.toThrow("no more");
  });
});

describe("an envelope that is wrong", () => {
  const whole = sealed(messageOf(2 * CHUNK_BYTES + 100));
  const headBytes = async () => (await whole).length - (2 * CHUNK_BYTES + 100 + 3 * TAG_BYTES);

  it("in any one bit of its head releases nothing", async () => {
    const file = (await whole).subarray(0, (await headBytes()) + 50);
    const versionBytes = "age-encryption.org/v1\n".length;
    const typeBytes = versionBytes + "-> intercloud/v1 ".length;
    for (let bit = 0; bit < 8 * (await headBytes()); bit += 1) {
      const { released, error } = await outcomeOf(flipBit(file, bit));
      expect({ bit, length: released.length, status: error?.status }).toEqual({
        ...{ bit, length: 0 },
        status: bit < 8 * typeBytes && error?.status === "bad-request" ? "bad-request" : "integrity",
      });
    }
  });

  it("in any one bit of its payload releases only chunks before that bit", async () => {
    const file = await whole;
    const head = await headBytes();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 8 * head, max: 8 * file.length - 1 }), async (bit) => {
        const { released, error } = await outcomeOf(flipBit(file, bit));
        expect(error).toMatchObject({ code: "FILE_DAMAGED", status: "integrity" });
        const rightChunks = Math.floor(((bit >> 3) - head) / SEALED_CHUNK_BYTES);
        expect(Buffer.compare(released, messageOf(rightChunks * CHUNK_BYTES))).toBe(0);
        expect(error).toMatchObject({ details: { offsetBytes: rightChunks * CHUNK_BYTES } });
      }),
      { numRuns: 60 },
    );
  });

  it("by being cut short anywhere is refused, and releases only what is right", async () => {
    const file = await whole;
    const head = await headBytes();
    const places = [
      ...Array(head + 20).keys(),
      ...[0, 1].flatMap((n) => [-1, 0, 1, 15, 16, 17].map((d) => head + (n + 1) * SEALED_CHUNK_BYTES + d)),
      file.length - 1,
    ];
    for (const lengthBytes of places) {
      const { released, error } = await outcomeOf(file.subarray(0, lengthBytes));
      expect({ lengthBytes, status: error?.status }).toEqual({
        lengthBytes,
        status: lengthBytes < 22 ? "bad-request" : "integrity",
      });
      expect(released.length % CHUNK_BYTES).toBe(0);
      expect(Buffer.compare(released, messageOf(released.length))).toBe(0);
    }
  });

  it.each([
    ["a byte more", (file: Uint8Array) => Buffer.concat([file, Buffer.of(0)])],
    ["its chunks in another order", (file: Uint8Array, at: number) => swapped(file, at)],
    [
      "a chunk twice",
      (file: Uint8Array, at: number) => Buffer.concat([file.subarray(0, at + SEALED_CHUNK_BYTES), file.subarray(at)]),
    ],
    [
      "a chunk left out",
      (file: Uint8Array, at: number) => Buffer.concat([file.subarray(0, at), file.subarray(at + SEALED_CHUNK_BYTES)]),
    ],
    [
      "another file's payload",
      (file: Uint8Array, at: number) =>
        Buffer.concat([file.subarray(0, at - PAYLOAD_NONCE_BYTES), bytesOf(PAYLOAD_NONCE_BYTES, 9), file.subarray(at)]),
    ],
  ])("by %s is refused", async (_, change) => {
    const { released, error } = await outcomeOf(change(await whole, await headBytes()));
    expect(error).toMatchObject({ code: "FILE_DAMAGED", status: "integrity" });
    expect(Buffer.compare(released, messageOf(released.length))).toBe(0);
    expect(released.length).toBeLessThanOrEqual(2 * CHUNK_BYTES);
  });

  it("says that its end is missing, or that something was put behind it, when that is all that is wrong", async () => {
    const file = await whole;
    const cut = await outcomeOf(file.subarray(0, (await headBytes()) + SEALED_CHUNK_BYTES));
    expect(cut).toMatchObject({
      error: { message: expect.stringContaining("after byte 65536 of the message its end is missing") },
    });
    expect(cut.released.length).toBe(CHUNK_BYTES);
    const full = await sealed(messageOf(CHUNK_BYTES));
    const extended = await outcomeOf(Buffer.concat([full, bytesOf(100, 1)]));
    expect(extended).toMatchObject({ error: { message: expect.stringContaining("something was put behind its end") } });
  });

  it("by its key is refused: only the deposit's own opens it", async () => {
    const envelope = await readEnvelope(sourceOf(await whole, 1_000));
    expect(await errorOf(envelope.open(flipBit(envelopeKey, 17)))).toMatchObject({
      code: "WRONG_ENVELOPE_KEY",
      status: "integrity",
    });
  });

  it.each([
    ["nothing", ""],
    ["a text", "hello, this is a letter\n"],
    ["a line of any length", "x".repeat(MAX_HEADER_BYTES)],
    ["some white space", " \n".repeat(2_000)],
    ["another armor", "-----BEGIN PGP MESSAGE-----\n\naGVsbG8=\n-----END PGP MESSAGE-----\n"],
    ["the beginning of a version line", "age-encryption.org/"],
  ])("because it is %s is no age file", async (_, text) => {
    const { error } = await outcomeOf(Buffer.from(text));
    expect(error).toMatchObject({ code: "NOT_AN_AGE_FILE", status: "bad-request" });
  });

  it("of another version says so", async () => {
    const { error } = await outcomeOf(Buffer.from("age-encryption.org/v2\nsomething new\n"));
    expect(error).toMatchObject({ code: "AGE_VERSION", status: "bad-request" });
  });

  it("with a header that never ends is given up, before it fills the memory", async () => {
    let readBytes = 0;
    async function* endless(line: string): AsyncIterable<Uint8Array> {
      yield Buffer.from("age-encryption.org/v1\n");
      for (; readBytes < 100 * MAX_HEADER_BYTES; readBytes += line.length) yield Buffer.from(line);
    }
    for (const line of [
      `-> grease ${"a".repeat(1_000)}\n\n`.repeat(50),
      "-> grease".padEnd(60_000, "a"),
      `-> grease\n${`${"A".repeat(64)}\n`.repeat(1_000)}`,
    ]) {
      readBytes = 0;
      expect(await errorOf(readEnvelope(endless(line)))).toMatchObject({ code: "HEADER_DAMAGED", status: "integrity" });
      expect(readBytes).toBeLessThan(2 * MAX_HEADER_BYTES);
    }
  });
});

function swapped(file: Uint8Array, at: number): Uint8Array {
  const next = at + SEALED_CHUNK_BYTES;
  const end = next + SEALED_CHUNK_BYTES;
  return Buffer.concat([file.subarray(0, at), file.subarray(next, end), file.subarray(at, next), file.subarray(end)]);
}
