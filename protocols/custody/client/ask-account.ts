/** Asks one provider for an account of its share and ciphertext, with the blocks that cover a range. */
import { blockDigestsBytes } from "../../crypto/block-digest.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import {
  type Account,
  accountRequestDigest,
  coveringBlocks,
  type Excerpt,
  isExcerptOf,
  readAccount,
} from "../account.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { accountAnswerShape } from "../messages.ts";
import { readingTimeoutMs, receiveChain } from "../waiting-chain.ts";
import type { Located } from "./round.ts";
import { type CustodyUser, signedRequest } from "./user.ts";

export interface Accounted {
  /** As the provider signed it. */
  readonly bytes: Uint8Array;
  readonly said: Account;
  /** Undefined when the provider owns up to have lost it, or keeps no ciphertext. */
  readonly share: Excerpt | undefined;
  readonly ciphertext: Excerpt | undefined;
}

export interface Range {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** @throws IntercloudError when the provider gives none, or one that does not hold together. */
export async function askAccount(
  user: CustodyUser,
  { tokenId, placement }: Located,
  peer: PeerName,
  { offsetBytes, lengthBytes }: Range,
  signal: AbortSignal,
): Promise<Accounted> {
  const { dealId, lengthBytes: totalBytes } = placement.manifest;
  const request = signedRequest(user, "retrieve", { tokenId, dealId, provider: peer, offsetBytes, lengthBytes });
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await user.transport.open(peer, CUSTODY_PROTOCOL, "account", { request }, options);
  const release = abortOn(signal, channel);
  try {
    const answer = await receiveChain(user.clock, channel, readingTimeoutMs(2 * totalBytes));
    const { account } = parseShape(accountAnswerShape, answer, "account");
    const said = readAccount(account);
    const ours = said.peer === peer && equalBytes(said.request, accountRequestDigest(request));
    if (!ours || placement.roster[said.point - 1] !== peer) throw garbled(peer);
    const range = coveringBlocks(offsetBytes, lengthBytes, totalBytes);
    const receive = async (digest: Uint8Array | null): Promise<Excerpt | undefined> => {
      if (digest === null) return undefined;
      const blockDigests = await receiveAll(channel, blockDigestsBytes(totalBytes));
      const content = await receiveAll(channel, range.lengthBytes);
      const found = { blockDigests, firstBlock: range.firstBlock, content };
      if (!isExcerptOf(found, digest)) throw garbled(peer);
      return found;
    };
    const share = await receive(said.shareDigest);
    const ciphertext = await receive(said.ciphertextDigest);
    await channel.close();
    return { bytes: account, said, share, ciphertext };
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    release();
  }
}

async function receiveAll(channel: Channel, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let filled = 0;
  for await (const piece of channel.receiveBody({ lengthBytes })) {
    bytes.set(piece, filled);
    filled += piece.length;
  }
  return bytes;
}

function garbled(peer: PeerName): IntercloudError {
  const text = "a provider gave an account that does not hold together";
  return new IntercloudError("BAD_ACCOUNT", "integrity", text, { peers: [peer] });
}
