/** The same files for `age-encryption`, the reference implementation in JavaScript, with our stanza as a recipient type of its own. */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import {
  armor,
  Decrypter,
  Encrypter,
  generateX25519Identity,
  type Identity,
  identityToRecipient,
  type Recipient,
  Stanza,
} from "age-encryption";
import { expect, test } from "vitest";
import { encodeAgeFile, readAgeFile } from "../../../protocols/envelope/age-file.ts";
import { CHUNK_BYTES } from "../../../protocols/envelope/constants.ts";
import { readEnvelope, sealEnvelope } from "../../../protocols/envelope/index.ts";
import { wrapFileKey } from "../../../protocols/envelope/stanza.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { loadVectors } from "../../support/vectors.ts";
import { unwrapX25519 } from "./x25519-identity.ts";

const envelopeKey = bytesOf(32, 1);
const tokenText = loadVectors<{ vectors: readonly { text: string }[] }>("token/golden").vectors[0]?.text ?? "";
let drawn = 100;
const entropy = (lengthBytes: number) => bytesOf(lengthBytes, drawn++);

/** docs/wire.md, "Envelopes", once more: this shares no code with what is tested. */
const wrapKey = new Uint8Array(hkdfSync("sha256", envelopeKey, tokenText, "intercloud/envelope/v1", 32));
const NONCE = new Uint8Array(12);

const recipient: Recipient = {
  wrapFileKey(fileKey) {
    const cipher = createCipheriv("chacha20-poly1305", wrapKey, NONCE, { authTagLength: 16 });
    const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
    return [new Stanza(["intercloud/v1", tokenText], body)];
  },
};

const identity: Identity = {
  unwrapFileKey(stanzas) {
    const ours = stanzas.find(({ args }) => args[0] === "intercloud/v1" && args[1] === tokenText);
    if (ours === undefined) return null;
    const decipher = createDecipheriv("chacha20-poly1305", wrapKey, NONCE, { authTagLength: 16 });
    decipher.setAuthTag(ours.body.subarray(16));
    return Buffer.concat([decipher.update(ours.body.subarray(0, 16)), decipher.final()]);
  },
};

async function openedByUs(file: Uint8Array): Promise<Uint8Array> {
  return await collect(await (await readEnvelope(sourceOf(file, 7_777))).open(envelopeKey));
}

async function openedByAge(file: Uint8Array): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return await decrypter.decrypt(file);
}

const LENGTHS = [0, 1, 1_000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];

test.each(LENGTHS)("age-encryption reads our file of %d bytes", async (lengthBytes) => {
  const message = bytesOf(lengthBytes, 2);
  const file = await collect(sealEnvelope({ envelopeKey, tokenText, entropy }, sourceOf(message, 10_000)));
  expect(Buffer.compare(await openedByAge(file), message)).toBe(0);
});

test.each(LENGTHS)("we read a file of %d bytes that age-encryption made", async (lengthBytes) => {
  const message = bytesOf(lengthBytes, 3);
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  const file = await encrypter.encrypt(message);
  expect(Buffer.compare(await openedByUs(file), message)).toBe(0);
  expect(Buffer.compare(await openedByUs(Buffer.from(armor.encode(file))), message)).toBe(0);
});

test("a file for several recipients opens for each of them", async () => {
  const message = bytesOf(100_000, 4);
  const x25519 = await generateX25519Identity();
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(x25519));
  encrypter.addRecipient(recipient);
  encrypter.addRecipient(await identityToRecipient(await generateX25519Identity()));
  const file = await encrypter.encrypt(message);
  expect(Buffer.compare(await openedByUs(file), message)).toBe(0);

  // and the other way round: our header code, with their stanza beside ours
  const { stanzas } = await readAgeFile(sourceOf(file, 100_000));
  const theirs = stanzas.filter((stanza) => stanza.arguments[0] === "X25519");
  const fileKey = unwrapX25519(x25519, stanzas);
  if (fileKey === undefined) throw new Error("it is a recipient");
  const parts = { fileKey, stanzas: [...theirs, wrapFileKey(envelopeKey, tokenText, fileKey)], nonce: entropy(16) };
  const remade = await collect(encodeAgeFile(parts, sourceOf(message, 9_999)));
  const decrypter = new Decrypter();
  decrypter.addIdentity(x25519);
  expect(Buffer.compare(await decrypter.decrypt(remade), message)).toBe(0);
  expect(Buffer.compare(await openedByAge(remade), message)).toBe(0);
  expect(Buffer.compare(await openedByUs(remade), message)).toBe(0);
});

test("a file for other recipients only is an age file, and not ours", async () => {
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(await generateX25519Identity()));
  const file = await encrypter.encrypt("hello");
  expect(await errorOf(openedByUs(file))).toMatchObject({ code: "NOT_OUR_FILE", status: "bad-request" });
  const decrypter = new Decrypter();
  decrypter.addIdentity(await generateX25519Identity());
  const ours = await collect(sealEnvelope({ envelopeKey, tokenText, entropy }, sourceOf(bytesOf(10, 1), 10)));
  await expect(decrypter.decrypt(ours)).rejects.toThrow("no identity matched");
});
