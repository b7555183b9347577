/**
 * Everything back, for a provider that lost its disk: the others tell, in the order of their ids, in which deposits it has a share,
 * and each of them is repaired. What is there already stays, so it can be stopped and run again.
 */
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { PeerName } from "../../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../../constants.ts";
import { compareGrants, readKeptGrants } from "../../grants.ts";
import { restorePageAnswerShape } from "../../messages.ts";
import { type CheckedProof, readProof } from "../../proof.ts";
import type { CustodyProvider } from "../provider.ts";
import { isWhole } from "./inspect.ts";
import { ownGrants, repairDeposit } from "./repair.ts";

export interface RestoreReport {
  /** Deposits that were whole before, that are whole now, and that could not be made whole. */
  readonly good: number;
  readonly restored: number;
  readonly failed: readonly { readonly tokenId: Uint8Array; readonly error: IntercloudError }[];
  /** Providers that did not tell all that they know. */
  readonly missing: readonly PeerName[];
}

/** A deposit, as another provider tells of it. */
interface Told {
  readonly proof: CheckedProof;
  /** The owner's signed list, if there is one. */
  readonly grants: Uint8Array | null;
}

/** How many deposits are worked on at a time: each waits for others most of the time. */
const AT_A_TIME = 8;

/** @param others all other providers @throws IntercloudError when our own store fails, or the signal fires. */
export async function restoreAll(
  provider: CustodyProvider,
  others: readonly PeerName[],
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<RestoreReport> {
  const missing = new Set<PeerName>();
  const failed: { readonly tokenId: Uint8Array; readonly error: IntercloudError }[] = [];
  let good = 0;
  let restored = 0;
  const work = newestOfAll(others.map((peer) => tellOf(provider, peer, missing, signal)));
  const worker = async (): Promise<void> => {
    for (;;) {
      const next = await work.next();
      if (next.done) return;
      try {
        const before = await repairDeposit(provider, next.value.proof, next.value.grants, signal);
        if (isWhole(before)) good += 1;
        else restored += 1;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof IntercloudError) || OWN_FAULTS.has(error.status)) throw error;
        failed.push({ tokenId: next.value.proof.terms.tokenId, error });
      }
      onProgress(good + restored + failed.length);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return { good, restored, failed, missing: [...missing] };
}

const OWN_FAULTS: ReadonlySet<string> = new Set(["full", "internal"]);

/** What one provider tells, in order. It ends early, and is named, when the provider fails or tells nonsense. */
async function* tellOf(
  provider: CustodyProvider,
  peer: PeerName,
  missing: Set<PeerName>,
  signal: AbortSignal,
): AsyncGenerator<Told> {
  let after: Uint8Array | null = null;
  try {
    for (;;) {
      const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
      const answer = await provider.transport.ask(peer, CUSTODY_PROTOCOL, "restore-page", { after }, options);
      const page = parseShape(restorePageAnswerShape, answer, "restore");
      let last = after;
      for (const { proof: bytes, grants } of page.deposits) {
        const proof = readProof(bytes);
        requireOrder(peer, last, proof.terms.tokenId);
        last = proof.terms.tokenId;
        if (proof.placement.roster.includes(provider.transport.peer)) yield { proof, grants: ownGrants(proof, grants) };
      }
      if (page.next === null) return;
      if (last === null || Buffer.compare(page.next, last) !== 0) requireOrder(peer, last, page.next);
      after = page.next;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof IntercloudError)) throw error;
    missing.add(peer);
  }
}

function requireOrder(peer: PeerName, before: Uint8Array | null, next: Uint8Array): void {
  if (before === null || Buffer.compare(before, next) < 0) return;
  throw new IntercloudError("BAD_LISTING", "integrity", "a provider lists deposits out of order or without end", {
    peers: [peer],
  });
}

/** Merges what all tell: each deposit once, as whoever knows its newest generation tells it. May be asked for by several at a time. */
async function* newestOfAll(sources: readonly AsyncGenerator<Told>[]): AsyncGenerator<Told> {
  const heads = await Promise.all(sources.map(async (source) => ({ source, head: await nextOf(source) })));
  for (;;) {
    let newest: Told | undefined;
    for (const { head } of heads) {
      if (head === undefined) continue;
      const order = newest === undefined ? -1 : Buffer.compare(idOf(head), idOf(newest));
      if (order < 0) newest = head;
      else if (order === 0) newest = newerOf(newest!, head);
    }
    if (newest === undefined) return;
    const tokenId = idOf(newest);
    yield newest;
    await Promise.all(
      heads.map(async (each) => {
        if (each.head === undefined || Buffer.compare(idOf(each.head), tokenId) !== 0) return;
        each.head = await nextOf(each.source);
      }),
    );
  }
}

function idOf({ proof }: Told): Uint8Array {
  return proof.terms.tokenId;
}

/** The newest generation that either tells, with the newest list of grants that either tells. */
function newerOf(a: Told, b: Told): Told {
  const { proof } = b.proof.placement.generation > a.proof.placement.generation ? b : a;
  if (a.grants === null || b.grants === null) return { proof, grants: a.grants ?? b.grants };
  const isNewer = compareGrants(readKeptGrants(b.grants).list, readKeptGrants(a.grants).list) > 0;
  return { proof, grants: isNewer ? b.grants : a.grants };
}

async function nextOf(source: AsyncGenerator<Told>): Promise<Told | undefined> {
  const next = await source.next();
  return next.done ? undefined : next.value;
}
