/** Repair, as an owner asks for it: every provider looks at what it has of the deposit and makes good what is not right. */
import type { TokenText } from "../../tokens/token-text.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { grantsDigest } from "../grants.ts";
import { repairedShape } from "../messages.ts";
import { movingTimeoutMs, receiveChain } from "../waiting-chain.ts";
import { type FoundProof, findNewestProof } from "./find-proof.ts";
import { askStanding } from "./standing.ts";
import { type CustodyUser, signedRequest } from "./user.ts";

export interface RepairReport {
  /** In point order. */
  readonly providers: readonly {
    readonly peer: PeerName;
    /** What it found missing or damaged and made good; undefined when it did not answer or could not. */
    readonly repaired:
      | { readonly record: boolean; readonly share: boolean; readonly ciphertext: boolean; readonly envelope: boolean }
      | undefined;
    readonly error: IntercloudError | undefined;
  }[];
}

/** @throws IntercloudError NOT_THE_OWNER, NO_SUCH_DEPOSIT; a provider that fails is reported. */
export async function repairDeposit(user: CustodyUser, token: TokenText, signal: AbortSignal): Promise<RepairReport> {
  const found = await findNewestProof(user, token, signal);
  const { terms, placement } = found.proof;
  if (terms.token.owner !== user.session.identity) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner may have its deposit repaired");
  }
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const grants = (await askStanding(user, terms, placement.roster, options)).newest?.request ?? null;
  const providers = await Promise.all(
    placement.roster.map(async (peer) => {
      try {
        return { peer, repaired: await repairAt(user, found, grants, peer, signal), error: undefined };
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof IntercloudError)) throw error;
        return { peer, repaired: undefined, error };
      }
    }),
  );
  return { providers };
}

async function repairAt(
  user: CustodyUser,
  { proof, bytes }: FoundProof,
  grants: Uint8Array | null,
  peer: PeerName,
  signal: AbortSignal,
) {
  const request = signedRequest(user, "change", {
    ...{ tokenId: proof.terms.tokenId, provider: peer },
    grants: grantsDigest(grants),
  });
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const header = { request, proof: bytes, grants };
  const channel = await user.transport.open(peer, CUSTODY_PROTOCOL, "repair", header, options);
  const release = abortOn(signal, channel);
  try {
    const ownBytes = 2 * proof.placement.manifest.lengthBytes + (proof.envelope?.lengthBytes ?? 0);
    const answer = await receiveChain(user.clock, channel, movingTimeoutMs(ownBytes));
    const before = readAnswer(peer, "repair", () => parseShape(repairedShape, answer, "repair"));
    await channel.close();
    const { record, share, ciphertext, envelope } = before;
    return { record: !record, share: !share, ciphertext: !ciphertext, envelope: !envelope };
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    release();
  }
}
