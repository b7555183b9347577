/** Giving the envelope of a deposit to home, which keeps it and passes it on to the other keepers while it comes. */
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, ENVELOPE_KEEP_ALIVE_MS, OPEN_TIMEOUT_MS } from "../constants.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { isSameEnvelope, type KeptEnvelope } from "../kept-envelope.ts";
import { envelopeKeptShape } from "../messages.ts";
import { movingTimeoutMs, receiveChain } from "../waiting-chain.ts";
import { pourFailure } from "./deposit-failure.ts";
import type { CustodyUser } from "./user.ts";

/** Resolves when all keepers have all of `file` on their disks. @throws as `deposit`, and what `file` throws. */
export async function giveEnvelope(
  user: CustodyUser,
  terms: DepositTerms,
  file: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<KeptEnvelope> {
  const { home } = terms.token;
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const opening = user.transport.open(home, CUSTODY_PROTOCOL, "envelope", { tokenId: terms.tokenId }, options);
  const channel = await opening.catch((error) => Promise.reject(pourFailure(user, terms, error)));
  const release = abortOn(signal, channel);
  try {
    const { lengthBytes, digest } = await channel.sendBody(file, { keepAliveMs: ENVELOPE_KEEP_ALIVE_MS });
    const answer = await receiveChain(user.clock, channel, movingTimeoutMs(lengthBytes));
    const { envelope } = readAnswer(home, "envelope", () => parseShape(envelopeKeptShape, answer, "envelope"));
    if (!isSameEnvelope(envelope, { lengthBytes, digest })) {
      const message = "home says that it keeps another envelope than the one that it was given; nothing was kept";
      throw new IntercloudError("WRONG_COPY", "integrity", message, { peers: [home] });
    }
    await channel.close();
    return envelope;
  } catch (error) {
    channel.abort(error);
    throw pourFailure(user, terms, error);
  } finally {
    release();
  }
}
