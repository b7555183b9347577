/**
 * The string that a user keeps, `ict1...`: bech32m (BIP 350) of a format byte, the token's id and the home provider's
 * public key. The checksum catches a mistyped character before anybody is asked.
 */
import { bech32m } from "@scure/base";
import { peerNameOf, publicKeyOfPeer } from "../crypto/peer-name.ts";
import { PUBLIC_KEY_BYTES } from "../crypto/signing.ts";
import { TOKEN_ID_BYTES } from "../rounds/constants.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";

const PREFIX = "ict";
const FORMAT = 1;

export interface TokenText {
  readonly tokenId: Uint8Array;
  /** Where to ask first. */
  readonly home: PeerName;
}

export function formatTokenText({ tokenId, home }: TokenText): string {
  const payload = Buffer.concat([Buffer.of(FORMAT), tokenId, publicKeyOfPeer(home)]);
  return bech32m.encode(PREFIX, bech32m.toWords(payload), false);
}

/** @throws IntercloudError BAD_TOKEN with what to look for. */
export function parseTokenText(text: string): TokenText {
  const decoded = bech32m.decodeUnsafe(text.trim(), false);
  const payload = decoded?.prefix === PREFIX ? bech32m.fromWordsUnsafe(decoded.words) : undefined;
  if (!payload || payload.length !== 1 + TOKEN_ID_BYTES + PUBLIC_KEY_BYTES || payload[0] !== FORMAT) {
    throw new IntercloudError(
      "BAD_TOKEN",
      "bad-request",
      'this is not a token: a token starts with "ict1" and is copied whole; a character may be missing or wrong',
    );
  }
  return {
    tokenId: payload.slice(1, 1 + TOKEN_ID_BYTES),
    home: peerNameOf(payload.slice(1 + TOKEN_ID_BYTES)),
  };
}
