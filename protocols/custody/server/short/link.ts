/** The second message of a short deposit: the owner knows what all providers gave and has them sign it; the keepers add up and store. */
import type * as v from "valibot";
import { bodyDigest } from "../../../crypto/block-digest.ts";
import { bodyChanges } from "../../../storage/index.ts";
import { signLink } from "../../../tokens/link.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { onceOf } from "../../../wire/once-of.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Context } from "../../../wire/transport.ts";
import { linkAskShape, type Received } from "../../messages.ts";
import type { ActiveDeposits } from "../active.ts";
import { burnUnsealed } from "../burn.ts";
import { ciphertextName } from "../deposit-record.ts";
import { ownFingerprints } from "../fingerprints.ts";
import type { CustodyProvider } from "../provider.ts";
import { advance, ownKeeping, requireTrue } from "../sign-own-link.ts";
import type { ShortDeposit, ShortDeposits } from "./short-deposits.ts";

export async function link(
  provider: CustodyProvider,
  active: ActiveDeposits,
  shorts: ShortDeposits,
  body: CborValue,
  context: Context,
): Promise<CborValue> {
  const { tokenId, ...asked } = parseShape(linkAskShape, body, "link");
  const deposit = shorts.find(tokenId);
  if (deposit === undefined || context.from !== deposit.terms.descriptor.requester) {
    throw new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no such step in this deposit");
  }
  return await active.run(tokenId, "link", context.signal, async (signal) => {
    try {
      const answer = await linkAndKeep(provider, shorts, deposit, asked, signal);
      signal.throwIfAborted();
      return answer;
    } catch (error) {
      await burnUnsealed(provider, tokenId, "failed");
      throw error;
    } finally {
      shorts.end(tokenId);
    }
  });
}

async function linkAndKeep(
  provider: CustodyProvider,
  shorts: ShortDeposits,
  deposit: ShortDeposit,
  { statement, last, challenge }: Omit<v.InferOutput<typeof linkAskShape>, "tokenId">,
  signal: AbortSignal,
): Promise<CborValue> {
  const { terms, ownPart, masked } = deposit;
  const { requester } = terms.descriptor;
  requireTrue(provider, terms, statement, bodyDigest(ownPart), requester);
  await deposit.given;
  const sum = masked === undefined ? undefined : await addUp(provider, deposit, masked, shorts);
  const received = sum?.received ?? null;
  const stored = sum === undefined ? [] : await bodyChanges(provider.store, ciphertextName(terms.tokenId), sum.bytes);
  const fingerprints = await ownFingerprints(provider, deposit.own, challenge, sum && onceOf(sum.bytes), signal);
  const signed = signLink(statement, provider.signer);
  const isHome = terms.token.home === provider.transport.peer;
  const keeping = isHome && received !== null ? ownKeeping(provider, terms, last, received) : null;
  const kept = isHome ? "kept" : "copied";
  await advance(
    provider,
    terms,
    "bound",
    received === null ? "linked" : ["linked", kept],
    (record) => {
      const held = { received: isHome ? null : received, keeping, holdsCiphertext: received !== null };
      return { ...record, state: "linked", ownLink: signed, ...held };
    },
    stored,
  );
  provider.observe({ kind: "linked", tokenId: terms.tokenId });
  if (received !== null && !isHome) provider.observe({ kind: "copied", tokenId: terms.tokenId });
  return { link: signed, keeping, received: isHome ? null : received, fingerprints };
}

async function addUp(
  provider: CustodyProvider,
  deposit: ShortDeposit,
  masked: Uint8Array,
  shorts: ShortDeposits,
): Promise<{ readonly bytes: Uint8Array; readonly received: Received }> {
  const { terms } = deposit;
  const parts = await shorts.parts(deposit, provider.transport.peer);
  const sum = new Uint8Array(masked);
  for (const [i, part] of parts.entries()) {
    if (part.length !== sum.length) {
      const text = "a part of this deposit has the wrong length";
      throw new IntercloudError("WRONG_LENGTH", "integrity", text, { peers: [terms.roster[i]!] });
    }
    provider.tools.kernel.addScaled(sum, part, 1);
  }
  const received = {
    digestFromOwner: bodyDigest(masked),
    digestsReceived: parts.map(bodyDigest),
    digest: bodyDigest(sum),
  };
  return { bytes: sum, received };
}
