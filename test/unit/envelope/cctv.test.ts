/** The published vectors of the age format (test/vectors/age/README.md), through the code that reads our envelopes. */
import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { readAgeFile } from "../../../protocols/envelope/age-file.ts";
import { sourceOf } from "../../support/bytes.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";
import { unwrapX25519 } from "./x25519-identity.ts";

interface Vector {
  readonly name: string;
  readonly expect: "success" | "no match" | "HMAC failure" | "header failure" | "payload failure" | "armor failure";
  /** SHA-256 of all that may be released, also before a failure. */
  readonly payload?: string;
  readonly fileKey: string;
  readonly identity?: string;
  readonly compressed?: "zlib";
  readonly file: string;
}

const { vectors } = loadVectors<{ vectors: readonly Vector[] }>("age/cctv-age-0.2.0");
const CHUNK_SIZES = [1_000_000_000, 65_536, 1_009];

function fileOf({ file, compressed }: Vector): Uint8Array {
  const bytes = Buffer.from(file, "base64");
  return compressed === undefined ? bytes : inflateSync(bytes);
}

/** How the reading of it ends in the words of the vectors, and the digest of what was released. */
async function outcomeOf(vector: Vector, chunkBytes: number) {
  const released = createHash("sha256");
  let expected: string = "header failure";
  try {
    const file = await readAgeFile(sourceOf(fileOf(vector), chunkBytes));
    const fileKey = vector.identity === undefined ? undefined : unwrapX25519(vector.identity, file.stanzas);
    if (fileKey === undefined) return { expected: "no match", released };
    expect(toHex(fileKey)).toBe(vector.fileKey);
    const message = await file.open(fileKey);
    expected = "payload failure";
    for await (const bytes of message) released.update(bytes);
    return { expected: "success", released };
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "HEADER_FORGED") expected = "HMAC failure";
    if (code === "ARMOR_DAMAGED") expected = "armor failure";
    return { expected, released, code };
  }
}

/** The first line of an armored file is how we know that it is one: without it this is no age file. */
const NO_ARMOR = /^armor_(garbage_leading|lowercase|whitespace_begin|wrong_type)$/;

test.each(vectors)("$name: $expect", async (vector) => {
  for (const chunkBytes of CHUNK_SIZES) {
    const { expected, released, code } = await outcomeOf(vector, chunkBytes);
    if (NO_ARMOR.test(vector.name)) expect(code).toBe("NOT_AN_AGE_FILE");
    else expect({ expected, code }).toEqual({ expected: vector.expect, code });
    const digest = vector.payload ?? createHash("sha256").digest("hex");
    expect(released.digest("hex")).toBe(digest);
  }
});

test("the vectors are all there, right and wrong ones of every kind", () => {
  const count = (kind: string) => vectors.filter((vector) => vector.expect === kind).length;
  const kinds = ["success", "no match", "HMAC failure", "header failure", "payload failure", "armor failure"];
  expect(vectors).toHaveLength(96);
  expect(kinds.every((kind) => count(kind) > 0)).toBe(true);
  expect(fromHex(vectors[0]?.fileKey ?? "")).toHaveLength(16);
});
