/** Encrypting and decrypting: what the providers keep is a key of 32 bytes, and the file stays with the user. */
import type { Entropy } from "../protocols/crypto/entropy.ts";
import type { Deposited, MessageSource, Retrieval } from "../protocols/custody/client/index.ts";
import { ENVELOPE_KEY_BYTES, type Envelope, readEnvelope, sealEnvelope } from "../protocols/envelope/index.ts";
import type { Token } from "../protocols/tokens/token.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { bytesSource } from "./sources.ts";
import { untilAborted } from "./until-aborted.ts";

export interface Encrypted extends Deposited {
  /**
   * The age file, to be read to its end: what is cut short is refused when it is decrypted. Made while it is read, in constant memory.
   * When it breaks off, or is left, before its end, the key is given up.
   */
  readonly file: AsyncIterable<Uint8Array>;
  /** For a file that was not kept: has the providers forget its key, as far as they can be reached. Never rejects. */
  giveUp(): Promise<void>;
}

export interface Decrypted {
  /** Of the deposit that the file names. */
  readonly tokenText: string;
  readonly token: Token;
  /** Each part is checked before it is released; it throws FILE_DAMAGED where the file was changed or cut short. */
  readonly message: AsyncIterable<Uint8Array>;
}

export interface EncryptParts {
  readonly entropy: Entropy;
  readonly signal: AbortSignal;
  /** Deposits an envelope key. */
  deposit(source: MessageSource): Promise<Deposited>;
  /** Has the providers forget it. */
  giveUp(deposited: Deposited): Promise<void>;
}

/** The key is deposited before a byte of `source` is read. */
export async function encrypt(source: AsyncIterable<Uint8Array>, parts: EncryptParts): Promise<Encrypted> {
  const { entropy, signal } = parts;
  const envelopeKey = entropy(ENVELOPE_KEY_BYTES);
  try {
    const deposited = await parts.deposit(bytesSource(envelopeKey));
    const { tokenText } = deposited;
    const file = sealEnvelope({ envelopeKey, tokenText, entropy }, untilAborted(source, signal));
    let givingUp: Promise<void> | undefined;
    const giveUp = () => (givingUp ??= parts.giveUp(deposited).catch(() => undefined));
    return { ...deposited, file: unlessLeft(file, giveUp), giveUp };
  } finally {
    envelopeKey.fill(0);
  }
}

/** Calls `onLeft` when the source fails or is not read to its end. */
async function* unlessLeft(source: AsyncIterable<Uint8Array>, onLeft: () => Promise<void>): AsyncIterable<Uint8Array> {
  let isComplete = false;
  try {
    yield* source;
    isComplete = true;
  } finally {
    if (!isComplete) await onLeft();
  }
}

export interface DecryptParts {
  readonly signal: AbortSignal;
  /** Retrieves an envelope key; `check` throws when the token is not of one. */
  retrieve(tokenText: string, check: (token: Token) => void): Promise<Retrieval>;
}

/** Resolves when the providers gave the key back, and it fits the file's header. */
export async function decrypt(file: AsyncIterable<Uint8Array>, parts: DecryptParts): Promise<Decrypted> {
  const envelope = await readEnvelope(untilAborted(file, parts.signal));
  try {
    const { tokenText } = envelope;
    const { token, message } = await parts.retrieve(tokenText, requireEnvelopeKey);
    return { tokenText, token, message: await open(envelope, message) };
  } catch (error) {
    await envelope.close();
    throw error;
  }
}

async function open(envelope: Envelope, keyMessage: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const pieces: Uint8Array[] = [];
  for await (const piece of keyMessage) pieces.push(piece);
  const envelopeKey = Buffer.concat(pieces);
  try {
    return await envelope.open(envelopeKey);
  } finally {
    for (const secret of [envelopeKey, ...pieces]) secret.fill(0);
  }
}

function requireEnvelopeKey({ policy, lengthBytes, protocol }: Token): void {
  // With one that the providers keep, too: the file is the same wherever it comes from. In Protocol 1 the key is sealed once more, and
  // longer by that; one that is no key does not open the file.
  if (policy.form !== "whole" && (protocol === 1 || lengthBytes === ENVELOPE_KEY_BYTES)) return;
  const message =
    "the deposit that this file names holds a message and no key: somebody changed the file; get it again from where you keep it";
  throw new IntercloudError("NO_ENVELOPE_KEY", "integrity", message);
}
