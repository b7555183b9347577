/**
 * What a provider signs about each block that it sends in a retrieval: in this round, at this place, I sent these bytes. It is what it
 * can be held to when the sum of all answers is wrong.
 */
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import { type Signer, verifySignature } from "../crypto/signing.ts";
import type { PeerName } from "../wire/transport.ts";
import { MESSAGE_BLOCK_BYTES } from "./constants.ts";
import { headerBytes } from "./message.ts";

const ANSWER_DOMAIN = "intercloud/answer/v1";

/** What a member signs. */
export interface AnswerStatement {
  readonly roundHash: Uint8Array;
  /** Names home's statement of the ciphertext that the deposit has, as the member knows it. */
  readonly keepingDigest: Uint8Array;
  readonly offsetBytes: number;
  /** `bodyDigest` of the bytes that were sent for the block that begins there. */
  readonly digest: Uint8Array;
}

export function signAnswer(signer: Signer, statement: AnswerStatement): Uint8Array {
  return signer.sign(ANSWER_DOMAIN, statementBytes(statement));
}

export function isAnswerSigned(peer: PeerName, statement: AnswerStatement, signature: Uint8Array): boolean {
  return verifySignature(publicKeyOfPeer(peer), ANSWER_DOMAIN, statementBytes(statement), signature);
}

function statementBytes({ roundHash, keepingDigest, offsetBytes, digest }: AnswerStatement): Uint8Array {
  const offset = Buffer.alloc(8);
  offset.writeBigUInt64BE(BigInt(offsetBytes));
  return Buffer.concat([roundHash, keepingDigest, offset, digest]);
}

export interface AnswerBlock {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * The blocks in which a range of a layered message is answered. They end where the blocks of the message end, so that a block that
 * turns out wrong was answered in one piece by everybody.
 */
export function* answerBlocks(messageBytes: number, offsetBytes: number, lengthBytes: number): Iterable<AnswerBlock> {
  const end = offsetBytes + lengthBytes;
  const header = headerBytes(messageBytes);
  for (let at = offsetBytes; at < end; ) {
    const block = Math.max(0, Math.floor((at - header) / MESSAGE_BLOCK_BYTES));
    const blockEnd = Math.min(end, header + (block + 1) * MESSAGE_BLOCK_BYTES);
    yield { offsetBytes: at, lengthBytes: blockEnd - at };
    at = blockEnd;
  }
}
