/**
 * The default form of a deposit: the message is in an age file that home and the other keepers keep, and what is layered is the key of
 * that file. It is made while the message is read, and checked piece by piece while it comes back, so nothing is ever held whole.
 */
import { createBlockDigester, digestOfBlocks } from "../protocols/crypto/block-digest.ts";
import { equalBytes } from "../protocols/crypto/digest.ts";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import {
  type CustodyUser,
  type Deposited,
  KeeperFailure,
  type MessageSource,
  type Retrieval,
  type Retrieved,
  type RetrieveWarning,
  readEnvelope,
} from "../protocols/custody/client/index.ts";
import {
  ENVELOPE_KEY_BYTES,
  messageBytesIn,
  openChunks,
  SEALED_CHUNK_BYTES,
  sealEnvelope,
  type UnlockedAgeFile,
  unlockEnvelope,
} from "../protocols/envelope/index.ts";
import { formatTokenText } from "../protocols/tokens/token-text.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import { bytesSource } from "./sources.ts";
import { untilAborted } from "./until-aborted.ts";

export interface PutParts {
  readonly entropy: Entropy;
  readonly signal: AbortSignal;
  /** Deposits an envelope key together with the envelope that is made when it is known of which deposit it is. */
  deposit(key: MessageSource, envelope: (tokenText: string) => AsyncIterable<Uint8Array>): Promise<Deposited>;
}

/** `source` may be empty, and is read once. Its chunks are kept for a while, so their memory must not be used again. */
export async function putEnvelope(source: AsyncIterable<Uint8Array>, parts: PutParts): Promise<Deposited> {
  const { entropy, signal } = parts;
  const envelopeKey = entropy(ENVELOPE_KEY_BYTES);
  try {
    return await parts.deposit(bytesSource(envelopeKey), (tokenText) =>
      sealEnvelope({ envelopeKey, tokenText, entropy }, untilAborted(source, signal)),
    );
  } finally {
    envelopeKey.fill(0);
  }
}

export interface GetParts {
  readonly user: CustodyUser;
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: { readonly doneBytes: number; readonly totalBytes: number }) => void) | undefined;
  readonly onWarning?: ((warning: RetrieveWarning) => void) | undefined;
}

/** @param retrieved of a deposit with an envelope */
export function getEnvelope(retrieved: Retrieved, parts: GetParts): Retrieval {
  return { token: retrieved.token, message: messageOf(retrieved, parts) };
}

/** Key and file are asked for at the same time. */
async function* messageOf(retrieved: Retrieved, parts: GetParts): AsyncIterable<Uint8Array> {
  // as it was when the file was made: a token that came from a move names another home
  const { tokenId, token } = retrieved;
  const tokenText = formatTokenText({ tokenId, home: token.home });
  const over = new AbortController();
  const signal = AbortSignal.any([parts.signal, over.signal]);
  const reader = readerOf(retrieved, parts, signal);
  const first = reader.open(0);
  first.catch(() => undefined); // met when the key is there
  let envelopeKey: Uint8Array | undefined;
  const progress = { doneBytes: 0, totalBytes: messageBytesIn(retrieved.envelope?.lengthBytes ?? 0, tokenText) };
  const file = fileBeing(retrieved);
  try {
    envelopeKey = await keyOf(retrieved.message);
    for (let stretch = await first; ; stretch = await reader.open(file.offsetBytes())) {
      file.servedBy(stretch.from);
      try {
        for await (const bytes of file.pieces(stretch.bytes, { tokenText, envelopeKey })) {
          const peers = file.takeWrong();
          if (peers.length > 0) parts.onWarning?.({ kind: "wrong-envelope", peers });
          if (bytes.length > 0) yield bytes;
          progress.doneBytes += bytes.length;
          parts.onProgress?.({ ...progress });
        }
        return;
      } catch (error) {
        if (parts.signal.aborted) throw cancelled(parts.signal);
        if (!(error instanceof IntercloudError) || error instanceof WrongFile) throw error;
        if (!(error instanceof KeeperFailure)) reader.reject(stretch.from);
        if (!(error instanceof KeeperFailure) || error.isWrong) file.wasWrong(stretch.from);
      }
    }
  } catch (error) {
    throw parts.signal.aborted ? cancelled(parts.signal) : error;
  } finally {
    over.abort();
    envelopeKey?.fill(0);
    file.wipe();
  }
}

function readerOf({ tokenId, placement, envelope, keepers }: Retrieved, parts: GetParts, signal: AbortSignal) {
  if (envelope === null) throw new IntercloudError("NO_ENVELOPE", "internal", "this deposit has no envelope");
  const wanted = { tokenId, dealId: placement.manifest.dealId, envelope, keepers };
  return readEnvelope(parts.user, wanted, signal, (peer) => parts.onWarning?.({ kind: "replaced", peers: [peer] }));
}

/** The file authenticates, and is not the one that the owner signed for: somebody else who has the key made it. */
class WrongFile extends IntercloudError {
  override readonly name = "WrongFile";

  constructor(peers: readonly PeerName[]) {
    const message =
      "the envelope that came is not the one that the deposit was made with, though it was made with its key; " +
      "what was handed out of it before is not to be trusted";
    super("WRONG_BYTES", "integrity", message, { peers });
  }
}

/** How far the file has come. Its pieces may be of several keepers. */
function fileBeing({ envelope }: Pick<Retrieved, "envelope">) {
  const lengthBytes = envelope?.lengthBytes ?? 0;
  let digester = createBlockDigester();
  let unlocked: Pick<UnlockedAgeFile, "head" | "key"> | undefined;
  let chunks = 0;
  let servers: PeerName[] = [];
  const wrong: PeerName[] = [];

  const restart = (): void => {
    unlocked?.key.fill(0);
    unlocked = undefined;
    chunks = 0;
    digester = createBlockDigester();
  };

  /** The last piece is released when the whole file is the one that the owner signed for. */
  const requireWhole = (): void => {
    if (envelope !== null && equalBytes(digestOfBlocks(digester.blockDigests()), envelope.digest)) return;
    if (chunks > 1) throw new WrongFile(servers);
    restart(); // nothing was released yet
    throw new IntercloudError("WRONG_BYTES", "integrity", "this is another envelope than the owner signed for");
  };

  return {
    lengthBytes,
    /** Where the next piece begins. */
    offsetBytes: () =>
      unlocked === undefined ? 0 : Math.min(lengthBytes, unlocked.head.length + chunks * SEALED_CHUNK_BYTES),
    servedBy: (peer: PeerName) => void servers.push(peer),
    wasWrong: (peer: PeerName) => void wrong.push(peer),
    /** Those who were wrong where somebody else was right. */
    takeWrong: () => wrong.splice(0),
    wipe: () => unlocked?.key.fill(0),
    /** The message from here on, as far as these bytes are right. @throws IntercloudError where they are not. */
    async *pieces(
      bytes: AsyncIterable<Uint8Array>,
      key: Parameters<typeof unlockEnvelope>[0],
    ): AsyncIterable<Uint8Array> {
      let rest = bytes;
      if (unlocked === undefined) {
        const begun = await unlockEnvelope(key, bytes);
        unlocked = begun;
        servers = servers.slice(-1);
        digester.add(begun.head);
        rest = begun.rest;
      }
      for await (const chunk of openChunks(unlocked.key, rest, chunks)) {
        chunks += 1;
        digester.add(chunk.sealed);
        if (chunk.isLast) requireWhole();
        yield chunk.bytes;
      }
    },
  };
}

async function keyOf(message: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of message) pieces.push(piece);
  const key = new Uint8Array(Buffer.concat(pieces));
  for (const piece of pieces) piece.fill(0);
  return key;
}

function cancelled(signal: AbortSignal): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the retrieval was cancelled", {}, signal.reason);
}
