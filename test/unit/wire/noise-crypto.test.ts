import type { ICryptoInterface } from "@libp2p/noise";
import { defaultCrypto } from "@libp2p/noise/crypto";
import { Uint8ArrayList } from "uint8arraylist";
import { expect, test } from "vitest";
import { markPassing } from "../../../protocols/crypto/release.ts";
import { noiseCrypto } from "../../../protocols/wire/noise-crypto.ts";
import { bytesOf } from "../../support/bytes.ts";

const KEY = bytesOf(32, 1);
const NONCE = bytesOf(12, 2);
const NO_DATA = new Uint8Array();
const TAG_BYTES = 16;
/** On both sides of where the ciphers change, and the longest that noise makes. */
const LENGTHS = [0, 1, 1199, 1200, 40_000, 65_519];

const encrypt = (crypto: ICryptoInterface, plaintext: Uint8Array | Uint8ArrayList) =>
  new Uint8Array(crypto.chaCha20Poly1305Encrypt(plaintext, NONCE, NO_DATA, KEY).subarray());

/** As noise calls it: with the packet's body in one piece. */
const decrypt = (crypto: ICryptoInterface, packet: Uint8Array | Uint8ArrayList) => {
  const body = packet.subarray(0, packet.byteLength - TAG_BYTES);
  return new Uint8Array(crypto.chaCha20Poly1305Decrypt(packet, NONCE, NO_DATA, KEY, body).subarray());
};

const cut = (bytes: Uint8Array, ...lengths: number[]) => {
  const list = new Uint8ArrayList();
  let start = 0;
  for (const length of [...lengths, bytes.length]) {
    if (start < bytes.length) list.append(new Uint8Array(bytes.subarray(start, start + length)));
    start += length;
  }
  return list;
};

test.each(LENGTHS)("%i bytes are encrypted and decrypted as libp2p's own adapter does it", (lengthBytes) => {
  const plaintext = bytesOf(lengthBytes, 3);
  const packet = encrypt(defaultCrypto, new Uint8Array(plaintext));
  expect(encrypt(noiseCrypto, new Uint8Array(plaintext))).toEqual(packet);
  expect(encrypt(noiseCrypto, cut(plaintext, 12, 5, 30_000))).toEqual(packet);
  expect(decrypt(noiseCrypto, new Uint8Array(packet))).toEqual(plaintext);
  expect(decrypt(noiseCrypto, cut(packet, 700, 30_000))).toEqual(plaintext);
  expect(decrypt(defaultCrypto, new Uint8Array(packet))).toEqual(plaintext);
});

test.each(LENGTHS)("a packet of %i bytes that was changed anywhere is refused", (lengthBytes) => {
  const packet = encrypt(noiseCrypto, bytesOf(lengthBytes, 4));
  for (const at of [0, Math.floor(packet.length / 2), packet.length - 1]) {
    const changed = new Uint8Array(packet);
    changed[at] = (changed[at] as number) ^ 1;
    expect(() => decrypt(noiseCrypto, changed)).toThrow();
  }
});

test("what was sent is given back when its last byte is encrypted, and not before noise is done with the list", async () => {
  const body = markPassing(bytesOf(100_000, 5));
  const kept = bytesOf(100_000, 6);
  const [first, last] = [body.subarray(0, 50_000), body.subarray(50_000)];
  encrypt(noiseCrypto, new Uint8ArrayList(first));
  encrypt(noiseCrypto, new Uint8ArrayList(kept));
  await Promise.resolve();
  expect(body.length).toBe(100_000);
  encrypt(noiseCrypto, new Uint8ArrayList(last));
  expect(body.length).toBe(100_000);
  await Promise.resolve();
  expect(body.length).toBe(0);
  expect(kept.length).toBe(100_000);
});

test("what the socket gave is given back when it has been decrypted to its end, and no plaintext lies in it", async () => {
  const short = bytesOf(100, 7);
  const long = bytesOf(40_000, 8);
  const packets = [encrypt(defaultCrypto, short), encrypt(defaultCrypto, long)] as const;
  const read = new Uint8Array(Buffer.concat(packets));
  const shortAgain = decrypt(noiseCrypto, read.subarray(0, packets[0].length));
  await Promise.resolve();
  expect(read.length).toBeGreaterThan(0);
  const longAgain = decrypt(noiseCrypto, read.subarray(packets[0].length));
  await Promise.resolve();
  expect(read.length).toBe(0);
  expect(shortAgain).toEqual(short);
  expect(longAgain).toEqual(long);
});
