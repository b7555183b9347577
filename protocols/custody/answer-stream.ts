/** A member's answer in a retrieval: block after block, each as a body of its own and then the member's signature on it. */
import * as v from "valibot";
import { SIGNATURE_BYTES } from "../crypto/signing.ts";
import { exactReader } from "../rounds/exact-reader.ts";
import type { AnswerBlock } from "../tokens/answer.ts";
import { fixedBytes, parseShape, readAnswer } from "../wire/shape.ts";
import type { Channel } from "../wire/transport.ts";

const signatureShape = v.strictObject({ signature: fixedBytes(SIGNATURE_BYTES) });

/** @param sign the signature on a block, by the digest of what was sent */
export async function sendAnswer(
  channel: Channel,
  source: AsyncIterable<Uint8Array>,
  blocks: Iterable<AnswerBlock>,
  sign: (block: AnswerBlock, digest: Uint8Array) => Uint8Array,
): Promise<void> {
  const reader = exactReader(source);
  try {
    for (const block of blocks) {
      const { digest } = await channel.sendBody(pieces(reader, block.lengthBytes));
      await channel.sendMessage({ signature: sign(block, digest) });
    }
    await reader.end();
  } finally {
    await reader.close();
  }
}

async function* pieces(reader: ReturnType<typeof exactReader>, lengthBytes: number): AsyncIterable<Uint8Array> {
  for (let left = lengthBytes; left > 0; ) {
    const piece = await reader.readSome(left);
    left -= piece.length;
    yield piece;
  }
}

/** One block as it was answered. */
export interface AnsweredBlock extends AnswerBlock {
  readonly bytes: Uint8Array;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

/** Whole blocks; signatures are not checked. Their bytes belong to the consumer. */
export async function* receiveAnswer(channel: Channel, blocks: Iterable<AnswerBlock>): AsyncIterable<AnsweredBlock> {
  for (const block of blocks) {
    const bytes = new Uint8Array(block.lengthBytes);
    const body = channel.receiveBody({ lengthBytes: block.lengthBytes });
    let filled = 0;
    for await (const piece of body) {
      bytes.set(piece, filled);
      filled += piece.length;
    }
    const { signature } = await receiveSignature(channel);
    yield { ...block, bytes, digest: body.summary().digest, signature };
  }
}

/** The bytes alone, as they come: what a member of a chain needs. */
export async function* receiveAnswerBytes(channel: Channel, blocks: Iterable<AnswerBlock>): AsyncIterable<Uint8Array> {
  for (const { lengthBytes } of blocks) {
    yield* channel.receiveBody({ lengthBytes });
    await receiveSignature(channel);
  }
}

async function receiveSignature(channel: Channel) {
  const said = await channel.receiveMessage();
  return readAnswer(channel.peer, "retrieve", () => parseShape(signatureShape, said, "signature on an answer"));
}
