/**
 * ChaCha20-Poly1305 for the connections, from node:crypto like libp2p's own adapter, with less around it. That one makes an
 * output for each piece of a packet, each of which becomes a system call of its own, and leaves all that it read and wrote to
 * the garbage collector: three times what passes.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { ICryptoInterface } from "@libp2p/noise";
import { defaultCrypto } from "@libp2p/noise/crypto";
import type { Uint8ArrayList } from "uint8arraylist";
import { markPassing, release, releasePassed } from "../crypto/release.ts";

const ALGORITHM = "chacha20-poly1305";
const TAG_BYTES = 16;
/** libp2p does shorter packets in WebAssembly, which is faster than making a cipher of OpenSSL's. */
const SHORT_BYTES = 1200;

export const noiseCrypto: ICryptoInterface = {
  ...defaultCrypto,

  chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
    const lengthBytes = plaintext.byteLength;
    if (lengthBytes < SHORT_BYTES) return defaultCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key);
    const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(ad, { plaintextLength: lengthBytes });
    const packet = Buffer.allocUnsafeSlow(lengthBytes + TAG_BYTES);
    let doneBytes = 0;
    for (const piece of piecesOf(plaintext)) {
      const encrypted = cipher.update(piece);
      packet.set(encrypted, doneBytes);
      doneBytes += encrypted.length;
      release(encrypted);
      releaseSoon(piece);
    }
    cipher.final();
    packet.set(cipher.getAuthTag(), doneBytes);
    return packet;
  },

  /** @param body the packet without its tag in one piece: a copy that noise makes anyway, or a view of what the socket gave. */
  chaCha20Poly1305Decrypt(packet, nonce, ad, key, body) {
    // without `body`: libp2p would put the plaintext there, into memory that we give back with the next packet
    if (packet.byteLength < SHORT_BYTES || body === undefined) {
      return defaultCrypto.chaCha20Poly1305Decrypt(packet, nonce, ad, key);
    }
    const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(ad, { plaintextLength: body.byteLength });
    decipher.setAuthTag(packet.subarray(packet.byteLength - TAG_BYTES));
    const plaintext = decipher.update(body);
    decipher.final();
    release(body);
    // packets come in order, so what the socket gave has been read when its end has been
    for (const piece of piecesOf(packet)) releaseSoon(markPassing(piece, piece.byteOffset));
    return plaintext;
  },
};

let spent: Uint8Array[] = [];

/** Not at once: noise still counts through the list that it took the packet from. It is done before any microtask. */
function releaseSoon(piece: Uint8Array): void {
  if (spent.length === 0) {
    queueMicrotask(() => {
      const pieces = spent;
      spent = [];
      for (const each of pieces) releasePassed(each);
    });
  }
  spent.push(piece);
}

function piecesOf(bytes: Uint8Array | Uint8ArrayList): Iterable<Uint8Array> {
  return bytes instanceof Uint8Array ? [bytes] : bytes;
}
