import { goneForGood, struckDisks } from "../faults.ts";
import type { FinalStore, History, KeptDeposit, StoredEvent } from "../history.ts";
import type { Invariant, Problem } from "../invariant.ts";
import { honestStores } from "../stores.ts";

export const logsVerify: Invariant = {
  name: "logs-verify",
  about:
    "The audit log of an honest provider verifies, tells each change of state once, and agrees with what is stored.",
  check: (history, finals) => {
    const gone = goneForGood(history);
    return honestStores(history, finals)
      .filter(({ peer }) => !gone.has(peer))
      .flatMap((store) =>
        [...broken(history, store), ...untold(store), ...notGone(store), ...toldTwice(store), ...goneTwice(store)].map(
          (text): Problem => ({ text: `${store.peer}: ${text}`, operations: [] }),
        ),
      );
  },
};

/** One that was put back with its disk does not go on from what somebody was shown of it before. */
function broken(history: History, { peer, brokenLog }: FinalStore): string[] {
  return brokenLog === undefined || struckDisks(history).has(peer) ? [] : [`its log does not verify: ${brokenLog}`];
}

function untold({ deposits, events }: FinalStore): string[] {
  return deposits
    .filter((kept) => kept.state === "sealed" && !events.some((event) => isOrigin(event, kept)))
    .map(({ tokenId, generation }) => `its log does not tell how deposit ${tokenId} came to generation ${generation}`);
}

/** Whether the event tells how the deposit, as it is, came here. */
function isOrigin({ kind, tokenId, dealId, step }: StoredEvent, kept: KeptDeposit): boolean {
  if (kind === "lot") return step === "sealed" && kept.lot !== undefined && dealId === kept.lot;
  if (tokenId !== kept.tokenId) return false;
  return (
    kind === "repaired" || (kind === "changed" ? dealId === kept.dealId : kind === "sealed" && kept.generation === 0)
  );
}

function notGone({ deposits, deals, events }: FinalStore): string[] {
  return events
    .filter(({ kind }) => kind === "destroyed")
    .flatMap(({ tokenId, dealId }) => {
      const isKept = deposits.some((kept) => kept.tokenId === tokenId);
      const hasShare = deals.some((deal) => deal.dealId === dealId && deal.state !== "burnt");
      if (isKept) return [`its log tells that deposit ${tokenId} was destroyed, and it keeps it`];
      return hasShare
        ? [`its log tells that deposit ${tokenId} was destroyed, and it has a share of deal ${dealId}`]
        : [];
    });
}

/** Tells no change of state, or one that may come again: a list of grants comes back with a deposit that had gone away. */
const MAY_REPEAT: ReadonlySet<string> = new Set([
  ...["started", "stopped", "served", "served-envelope", "refused", "accounted"],
  ...["gave-part", "gave-ciphertext", "gave-envelope", "repaired", "grants"],
]);

function toldTwice({ events }: FinalStore): string[] {
  const once = events.filter(({ kind }) => !MAY_REPEAT.has(kind));
  return [...Map.groupBy(once, ({ kind, told }) => `${kind} ${told}`)]
    .filter(([, same]) => same.length > 1)
    .map(([what, same]) => `its log tells ${same.length} times: ${what}`);
}

const GOES: ReadonlySet<string> = new Set(["burnt", "change-dropped", "destroyed"]);

/** A share that was given up with a change may come back, by a repair, when the change was completed all the same. */
function goneTwice({ events }: FinalStore): string[] {
  const gone = new Map<string, StoredEvent>();
  const problems: string[] = [];
  for (const event of events) {
    const { kind, tokenId, dealId } = event;
    if (kind === "repaired") for (const [id, before] of gone) if (before.tokenId === tokenId) gone.delete(id);
    if (!GOES.has(kind) || dealId === undefined) continue;
    const before = gone.get(dealId);
    if (before !== undefined)
      problems.push(`its log tells twice that the share of deal ${dealId} is gone: ${before.kind}, ${kind}`);
    gone.set(dealId, event);
  }
  return problems;
}
