/** What Protocol 1 layers: a message sealed to the owner's key, as age seals it to a recipient. */
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it } from "vitest";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { CHUNK_BYTES } from "../../../protocols/envelope/constants.ts";
import { openMessage, sealMessage } from "../../../protocols/envelope/index.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { flipBit } from "../../support/vectors.ts";
import { keyOfIdentity } from "./x25519-identity.ts";

let drawn = 500;
const entropy = (lengthBytes: number) => bytesOf(lengthBytes, drawn++);
const own = newAgreementKey(entropy);
const repeatable = (message: Uint8Array) => ({
  lengthBytes: message.length,
  open: () => sourceOf(new Uint8Array(message), 10_000),
});
const open = async (sealed: Uint8Array, key = own) => await collect(await openMessage(key, sourceOf(sealed, 7_777)));

const LENGTHS = [1, 32, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];

describe.each(LENGTHS)("%d bytes", (lengthBytes) => {
  const message = bytesOf(lengthBytes, lengthBytes);

  it("come back, the same bytes each time it is read, as many as it says", async () => {
    const sealed = sealMessage(repeatable(message), own.publicKey, entropy);
    const [once, again] = [await collect(sealed.open()), await collect(sealed.open())];
    expect(once.length).toBe(sealed.lengthBytes);
    expect(Buffer.compare(once, again)).toBe(0);
    expect(Buffer.compare(await open(once), message)).toBe(0);
    expect(
      Buffer.compare(once, await collect(sealMessage(repeatable(message), own.publicKey, entropy).open())),
    ).not.toBe(0);
  });

  it("age-encryption opens what we sealed, and we open what it sealed", async () => {
    const identity = await generateX25519Identity();
    const key = keyOfIdentity(identity);
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    const sealed = await collect(sealMessage(repeatable(message), key.publicKey, entropy).open());
    expect(Buffer.compare(await decrypter.decrypt(sealed), message)).toBe(0);
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(identity));
    expect(Buffer.compare(await open(await encrypter.encrypt(message), key), message)).toBe(0);
  });
});

it("another key does not open it, and says so", async () => {
  const sealed = await collect(sealMessage(repeatable(bytesOf(100, 1)), own.publicKey, entropy).open());
  expect(await errorOf(open(sealed, newAgreementKey(entropy)))).toMatchObject({
    ...{ code: "NOT_SEALED_TO_US", status: "integrity" },
  });
});

it("any bit that is changed, and any end that is cut off, is an error", async () => {
  const sealed = await collect(sealMessage(repeatable(bytesOf(40, 2)), own.publicKey, entropy).open());
  for (let at = 0; at < sealed.length; at += 1) {
    expect(await errorOf(open(flipBit(sealed, at)))).toBeInstanceOf(Error);
    expect(await errorOf(open(sealed.subarray(0, at)))).toBeInstanceOf(Error);
  }
});
