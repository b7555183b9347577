/** A provider makes good what it lost of one deposit: its record, its share, its copy of the ciphertext. */
import { auditChange } from "../../../audit/index.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { closedDealChange, type HeldDeal, heldDealChange, withDeal } from "../../../dealing/held-deal.ts";
import type { Change } from "../../../storage/index.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import type { PeerName } from "../../../wire/transport.ts";
import { abortOn } from "../../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../../constants.ts";
import { mayDeal } from "../../dealers.ts";
import { readKeptGrants } from "../../grants.ts";
import type { KeptEnvelope } from "../../kept-envelope.ts";
import { keepersOf, type Placement } from "../../placement.ts";
import type { CheckedProof } from "../../proof.ts";
import { catchUp, leaveOld } from "../change/retire.ts";
import { ciphertextName, type DepositRecord, depositChange, findDeposit, ownerIndexChange } from "../deposit-record.ts";
import { fetchEnvelope } from "../fetch-envelope.ts";
import { newerGrants } from "../grant-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { type Inspection, inspect, isWhole, ownEntry, requireNotDestroyed } from "./inspect.ts";
import { rebuildShare } from "./rebuild.ts";

/**
 * Does nothing where all is well. Each thing is committed when it is whole, so it can be stopped and run again.
 * @returns what was there before.
 * @throws IntercloudError NOT_A_MEMBER, CHAIN_BROKEN, STALE_PROOF, DEAL_BURNT, and what rebuilding throws.
 */
export async function repairDeposit(
  provider: CustodyProvider,
  proof: CheckedProof,
  grants: Uint8Array | null,
  signal: AbortSignal,
): Promise<Inspection> {
  const { placement, terms, envelope } = proof;
  const { tokenId } = terms;
  ownEntry(provider, placement);
  await requireGenuine(provider, proof);
  await catchUp(provider, proof);
  const lists = await newerGrants(provider.store, tokenId, ownGrants(proof, grants));
  if (lists.length > 0) await provider.store.commit(lists);
  const found = await inspect(provider, proof);
  if (isWhole(found)) return found;
  const deal = found.share
    ? undefined
    : await rebuildShare(provider, { tokenId, placement, manifestBytes: signedManifest(proof) }, signal);
  const before = (await findDeposit(provider.store, tokenId))?.record;
  const kept: Kept = {
    holdsCiphertext: found.ciphertext && before?.holdsCiphertext === true,
    envelope: found.envelope ? (before?.envelope ?? null) : null,
  };
  const nothing = { share: false, ciphertext: false, envelope: false };
  await commitRepaired(provider, proof, deal, kept, { ...nothing, share: deal !== undefined });
  if (!found.ciphertext) {
    await fetchCiphertext(provider, tokenId, placement, signal);
    kept.holdsCiphertext = true;
    await commitRepaired(provider, proof, undefined, kept, { ...nothing, ciphertext: true });
    provider.announce(tokenId);
  }
  if (!found.envelope && envelope !== null) {
    const header = { tokenId, dealId: placement.manifest.dealId };
    const keepers = keepersOf(placement);
    await fetchEnvelope(provider, { tokenId, envelope, keepers, method: "repair-envelope", header }, signal);
    kept.envelope = envelope;
    await commitRepaired(provider, proof, undefined, kept, { ...nothing, envelope: true });
  }
  provider.observe({ kind: "repaired", tokenId });
  return found;
}

/** Whoever shows us the proof may have made it up: its chain must hold, its providers and its dealer (unless the owner dealt it itself) must be of our federation. */
async function requireGenuine(provider: CustodyProvider, { chain, placement, terms }: CheckedProof): Promise<void> {
  if (!chain.valid) {
    throw new IntercloudError("CHAIN_BROKEN", "integrity", "the chain of this deposit is broken", {
      peers: chain.firstBreak?.suspects ?? [],
    });
  }
  const strangers = placement.roster.filter((peer) => provider.agreementKeyOf(peer) === undefined);
  if (strangers.length > 0 || !mayDeal(provider, placement.manifest, terms.token.owner)) {
    throw new IntercloudError("UNKNOWN_PROVIDER", "refused", "this deposit has peers that are not of our federation", {
      peers: strangers,
    });
  }
  const deposit = await findDeposit(provider.store, terms.tokenId);
  const newer = deposit !== undefined && deposit.placement.generation > placement.generation;
  if (newer || (deposit !== undefined && deposit.record.state !== "sealed")) {
    throw new IntercloudError("STALE_PROOF", "conflict", "the deposit is in another state here than this proof says");
  }
}

/** The list, if it is the owner's of this deposit. */
export function ownGrants({ terms }: CheckedProof, grants: Uint8Array | null): Uint8Array | null {
  if (grants === null) return null;
  const { owner, list } = readKeptGrants(grants);
  return owner === terms.token.owner && equalBytes(list.tokenId, terms.tokenId) ? grants : null;
}

function signedManifest({ parts, change }: CheckedProof): Uint8Array {
  return change?.change.manifestBytes ?? parts.manifest;
}

/** What a keeper has, beside its share. */
interface Kept {
  holdsCiphertext: boolean;
  envelope: KeptEnvelope | null;
}

async function commitRepaired(
  provider: CustodyProvider,
  proof: CheckedProof,
  deal: HeldDeal | undefined,
  { holdsCiphertext, envelope }: Kept,
  made: { readonly share: boolean; readonly ciphertext: boolean; readonly envelope: boolean },
): Promise<void> {
  const { terms, placement, parts } = proof;
  await withDeal(provider.store, placement.manifest.dealId, async () => {
    const before = await findDeposit(provider.store, terms.tokenId);
    await requireNotDestroyed(provider, terms.tokenId, placement);
    const { corrected } = ownEntry(provider, placement);
    const rebuilt = deal !== undefined || corrected ? placement.manifest.lengthBytes : 0;
    const keptBytes = (holdsCiphertext ? placement.manifest.lengthBytes : 0) + (envelope?.lengthBytes ?? 0);
    const storedBytes = rebuilt + keptBytes;
    const record: DepositRecord = {
      ...{ version: 1, state: "sealed", request: parts.request, manifest: parts.manifest },
      ...{ links: [...parts.links], keeping: parts.keeping, closing: parts.closing, change: parts.change },
      ...{ ownLink: before?.record.ownLink ?? null, holdsCiphertext, envelope, storedBytes, received: null },
    };
    const { tokenId } = terms;
    const changes: Change[] = [
      auditChange({ kind: "repaired", tokenId, ...made }),
      depositChange(tokenId, record),
      ownerIndexChange(terms, storedBytes),
    ];
    if (deal !== undefined) changes.push(heldDealChange(deal), closedDealChange(deal.dealId));
    const isNew = before !== undefined && !equalBytes(before.placement.manifest.dealId, placement.manifest.dealId);
    if (isNew) await leaveOld(provider, before, changes, envelope !== null);
    else await provider.store.commit(changes);
  });
  deal?.seed.fill(0);
}

/** From the first other keeper whose bytes are the ones that home signed. */
async function fetchCiphertext(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  placement: Placement,
  signal: AbortSignal,
): Promise<void> {
  const others = keepersOf(placement).filter((peer) => peer !== provider.transport.peer);
  let last: unknown;
  const wrong: PeerName[] = [];
  for (const peer of others) {
    try {
      if (await fetchFrom(provider, peer, tokenId, placement, signal)) return;
      wrong.push(peer);
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  await provider.store.bodies.remove(ciphertextName(tokenId, placement.generation));
  const text = "no other provider has a good copy of the ciphertext; try again when those that keep it are up";
  const status = wrong.length > 0 ? "integrity" : "unreachable";
  throw new IntercloudError("NO_CIPHERTEXT", status, text, { peers: wrong.length > 0 ? wrong : others }, last);
}

async function fetchFrom(
  provider: CustodyProvider,
  peer: PeerName,
  tokenId: Uint8Array,
  { manifest, generation, kept }: Placement,
  signal: AbortSignal,
): Promise<boolean> {
  const header = { tokenId, dealId: manifest.dealId };
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await provider.transport.open(peer, CUSTODY_PROTOCOL, "repair-ciphertext", header, options);
  const release = abortOn(signal, channel);
  try {
    const body = channel.receiveBody({ lengthBytes: manifest.lengthBytes });
    await provider.store.bodies.write(ciphertextName(tokenId, generation), body);
    await channel.close();
    return kept !== undefined && equalBytes(body.summary().digest, kept.ciphertextDigest);
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    release();
  }
}
