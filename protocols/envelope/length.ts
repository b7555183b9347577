/** How long a message is, by the length of the envelope that it is in. */
import { CHUNK_BYTES, FILE_KEY_BYTES, PAYLOAD_NONCE_BYTES, TAG_BYTES, WRAPPED_KEY_BYTES } from "./constants.ts";
import { encodeHeader } from "./header.ts";
import { stanzaOf } from "./stanza.ts";

/** For one that `sealEnvelope` made; of another nobody knows before it is read. */
export function messageBytesIn(envelopeBytes: number, tokenText: string): number {
  const header = encodeHeader([stanzaOf(tokenText, new Uint8Array(WRAPPED_KEY_BYTES))], new Uint8Array(FILE_KEY_BYTES));
  const payloadBytes = envelopeBytes - header.length - PAYLOAD_NONCE_BYTES;
  const chunks = Math.ceil(payloadBytes / (CHUNK_BYTES + TAG_BYTES));
  return Math.max(0, payloadBytes - chunks * TAG_BYTES);
}
