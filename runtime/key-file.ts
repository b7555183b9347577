/**
 * A file that holds one 32-byte seed, from which all keys of a peer or of a user are derived. JSON, readable by its owner
 * only. Sealed with a passphrase (scrypt, RFC 7914, then AES-256-GCM), or plain if there is none.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import * as v from "valibot";
import { digestOf, equalBytes } from "../protocols/crypto/digest.ts";
import { encodeCanonical } from "../protocols/wire/codec.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { createFileAtomic } from "./atomic-file.ts";

export const KEY_FILE_SEED_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CHECK_DOMAIN = "intercloud/key-file/v1";

/** 32 MiB and about 0.1 s for each guess. */
const SCRYPT = { N: 2 ** 15, r: 8, p: 1 } as const;
/** A file may ask for more than we write, but not for all memory. */
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;

const hex = (lengthBytes: number) => v.pipe(v.string(), v.regex(/^[0-9a-f]*$/), v.length(2 * lengthBytes));
const cost = (max: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(max));

const plainShape = v.strictObject({
  version: v.literal(1),
  kind: v.literal("plain"),
  seed: hex(KEY_FILE_SEED_BYTES),
});
const sealedShape = v.strictObject({
  version: v.literal(1),
  kind: v.literal("sealed"),
  kdf: v.strictObject({
    name: v.literal("scrypt"),
    N: v.pipe(
      cost(2 ** 20),
      v.minValue(2),
      v.check((N) => Number.isInteger(Math.log2(N)), "not a power of two"),
    ),
    r: cost(32),
    p: cost(16),
    salt: hex(SALT_BYTES),
  }),
  nonce: hex(NONCE_BYTES),
  ciphertext: hex(KEY_FILE_SEED_BYTES + TAG_BYTES),
});
const fileShape = v.strictObject({ content: v.variant("kind", [plainShape, sealedShape]), check: hex(32) });

type Content = v.InferOutput<typeof fileShape>["content"];
type Sealed = v.InferOutput<typeof sealedShape>;

/** @throws IntercloudError KEY_FILE_EXISTS: a key is never overwritten. */
export async function writeKeyFile(path: string, seed: Uint8Array, passphrase: string | undefined): Promise<void> {
  if (seed.length !== KEY_FILE_SEED_BYTES) {
    throw new IntercloudError("BAD_KEY", "bad-request", `a key file holds a seed of ${KEY_FILE_SEED_BYTES} bytes`);
  }
  const content: Content =
    passphrase === undefined ? { version: 1, kind: "plain", seed: toHex(seed) } : await sealSeed(seed, passphrase);
  const text = JSON.stringify({ content, check: toHex(checkOf(content)) }, undefined, 2);
  try {
    await createFileAtomic(path, Buffer.from(`${text}\n`), 0o600);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "EEXIST") throw error;
    throw new IntercloudError(
      "KEY_FILE_EXISTS",
      "conflict",
      `there is a key file at ${path} already; whoever overwrites it loses what it opens. Choose another path`,
      { path },
    );
  }
}

/** @throws IntercloudError KEY_FILE_MISSING, KEY_FILE_PERMISSIONS, KEY_FILE_DAMAGED, PASSPHRASE_NEEDED, WRONG_PASSPHRASE. */
export async function readKeyFile(path: string, passphrase: string | undefined): Promise<Uint8Array> {
  const content = parseContent(path, await readPrivate(path));
  if (content.kind === "plain") return fromHex(content.seed);
  if (passphrase === undefined) {
    throw new IntercloudError(
      "PASSPHRASE_NEEDED",
      "refused",
      `the key file ${path} is sealed; give its passphrase with --passphrase-file or INTERCLOUD_PASSPHRASE_FILE`,
      { path },
    );
  }
  const seed = await openSeed(content, passphrase);
  if (seed !== undefined) return seed;
  throw new IntercloudError("WRONG_PASSPHRASE", "refused", `this passphrase does not open the key file ${path}`, {
    path,
  });
}

async function readPrivate(path: string): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    const message = `there is no key file that can be read at ${path}; make one with the init command, or say where it is`;
    throw new IntercloudError("KEY_FILE_MISSING", "not-found", message, { path }, cause);
  }
  try {
    if (((await file.stat()).mode & 0o077) !== 0) {
      throw new IntercloudError(
        "KEY_FILE_PERMISSIONS",
        "refused",
        `the key file ${path} can be read by others; run: chmod 600 ${path}`,
        { path },
      );
    }
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function parseContent(path: string, text: string): Content {
  try {
    const { content, check } = v.parse(fileShape, JSON.parse(text));
    if (equalBytes(fromHex(check), checkOf(content))) return content;
  } catch {
    // One error for all: the parser's message would quote the file, and the file may hold a plain seed.
  }
  throw new IntercloudError(
    "KEY_FILE_DAMAGED",
    "damaged",
    `the key file ${path} is not complete or was changed; restore it from a copy`,
    { path },
  );
}

/** Tells damage from a wrong passphrase. It is no secret: it is over what is in the file. */
function checkOf(content: Content): Uint8Array {
  return digestOf(CHECK_DOMAIN, encodeCanonical(content));
}

async function sealSeed(seed: Uint8Array, passphrase: string): Promise<Sealed> {
  const kdf = { name: "scrypt", ...SCRYPT, salt: toHex(randomBytes(SALT_BYTES)) } as const;
  const nonce = randomBytes(NONCE_BYTES);
  const key = await keyFrom(kdf, passphrase);
  try {
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    cipher.setAAD(encodeCanonical(kdf));
    const ciphertext = Buffer.concat([cipher.update(seed), cipher.final(), cipher.getAuthTag()]);
    return { version: 1, kind: "sealed", kdf, nonce: toHex(nonce), ciphertext: toHex(ciphertext) };
  } finally {
    key.fill(0);
  }
}

/** Undefined when the passphrase is wrong. */
async function openSeed({ kdf, nonce, ciphertext }: Sealed, passphrase: string): Promise<Uint8Array | undefined> {
  const key = await keyFrom(kdf, passphrase);
  const sealed = fromHex(ciphertext);
  const decipher = createDecipheriv("aes-256-gcm", key, fromHex(nonce));
  decipher.setAAD(encodeCanonical(kdf));
  decipher.setAuthTag(sealed.subarray(KEY_FILE_SEED_BYTES));
  try {
    const seed = decipher.update(sealed.subarray(0, KEY_FILE_SEED_BYTES));
    decipher.final();
    return new Uint8Array(seed);
  } catch {
    return undefined;
  } finally {
    key.fill(0);
  }
}

const scryptAsync: (password: string, salt: Uint8Array, lengthBytes: number, options: object) => Promise<Buffer> =
  promisify(scrypt);

/** The passphrase in Unicode's normal form KC, so that it does not matter on which keyboard it was typed. */
function keyFrom({ N, r, p, salt }: Sealed["kdf"], passphrase: string): Promise<Buffer> {
  return scryptAsync(passphrase.normalize("NFKC"), fromHex(salt), 32, { N, r, p, maxmem: MAX_SCRYPT_BYTES });
}

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
