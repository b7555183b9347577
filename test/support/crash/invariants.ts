/** What must be true of the disks of all providers when everything has come to rest. */
import type { AuditEvent } from "../../../protocols/audit/index.ts";
import { equalBytes } from "../../../protocols/crypto/digest.ts";
import { keepersOf } from "../../../protocols/custody/placement.ts";
import { ciphertextName, findDeposit, type StoredDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { loadTombstone } from "../../../protocols/custody/server/tombstone.ts";
import { correctionName, type HeldDeal, idOfHex, loadHeldDeal } from "../../../protocols/dealing/held-deal.ts";
import { entryOfPeer } from "../../../protocols/dealing/manifest.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { MemoryStore } from "../memory-store.ts";
import type { CrashWorld } from "./world.ts";

const DEAL = "deal/";

async function dealsOn(disk: MemoryStore): Promise<HeldDeal[]> {
  const keys = [...disk.records.keys()].filter((key) => key.startsWith(DEAL));
  return (await Promise.all(keys.map((key) => loadHeldDeal(disk, idOfHex(key.slice(DEAL.length)))))) as HeldDeal[];
}

/** Two generations that both count as the deposit's must never be on one disk, not even for a moment. */
export async function problemsAtOnce(world: CrashWorld): Promise<string[]> {
  const problems: string[] = [];
  for (const [i, disk] of world.disks.entries()) {
    const sealed = (await dealsOn(disk)).filter(({ state }) => state === "sealed");
    const tokens = sealed.map(({ boundTo }) => Buffer.from(boundTo ?? []).toString("hex"));
    if (new Set(tokens).size < tokens.length) problems.push(`provider ${i + 1} holds sealed shares of two generations`);
  }
  return problems;
}

/** Everything that may be on the disks belongs to these deposits, each of which is whole in one generation. */
export async function problemsAtRest(world: CrashWorld, tokenTexts: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  const expected = world.disks.map(() => ({ files: new Set<string>(), sealed: new Set<string>() }));
  for (const tokenText of tokenTexts) problems.push(...(await expectWhole(world, tokenText, expected)));
  for (const [i, disk] of world.disks.entries()) {
    const who = `provider ${i + 1}`;
    for (const name of disk.files.keys()) if (!expected[i]!.files.has(name)) problems.push(`${who} still has ${name}`);
    for (const name of expected[i]!.files) if (!disk.files.has(name)) problems.push(`${who} lacks ${name}`);
    for (const { dealId, state } of await dealsOn(disk)) {
      const id = Buffer.from(dealId).toString("hex");
      const right = expected[i]!.sealed.has(id) ? "sealed" : "burnt";
      if (state !== right) problems.push(`${who} has a deal that is ${state} and should be ${right}`);
    }
    for (const key of disk.records.keys()) {
      if (/^(deal-open|deal-staging|change|change-due|abandon-due)\//.test(key))
        problems.push(`${who} still has a ${key}`);
      const isAlone = tokenTexts.length === 0 && !/^(deal|destroyed)\//.test(key);
      if (isAlone) problems.push(`${who} still has a ${key}`);
    }
  }
  return problems;
}

async function expectWhole(
  world: CrashWorld,
  tokenText: string,
  expected: readonly { readonly files: Set<string>; readonly sealed: Set<string> }[],
): Promise<string[]> {
  const { tokenId } = parseTokenText(tokenText);
  const found = await Promise.all(world.disks.map((disk) => findDeposit(disk, tokenId)));
  const newest = found.reduce<StoredDeposit | undefined>(
    (best, each) => (each && (!best || each.placement.generation > best.placement.generation) ? each : best),
    undefined,
  );
  if (newest === undefined) return ["nobody has the deposit"];
  const { placement } = newest;
  const { generation, manifest, roster } = placement;
  const problems: string[] = [];
  for (const [i, deposit] of found.entries()) {
    const peer = world.peers[i]!;
    const who = `provider ${i + 1}`;
    if (!roster.includes(peer)) {
      if (deposit !== undefined) problems.push(`${who} still has the deposit, which went away`);
      continue;
    }
    if (deposit?.record.state !== "sealed") problems.push(`${who} has the deposit ${deposit?.record.state ?? "not"}`);
    else if (deposit.placement.generation !== generation) {
      problems.push(`${who} is at generation ${deposit.placement.generation}, others at ${generation}`);
    }
    expected[i]!.sealed.add(Buffer.from(manifest.dealId).toString("hex"));
    const isCorrected = entryOfPeer(manifest, peer)?.corrected === true;
    const deal = await loadHeldDeal(world.disks[i]!, manifest.dealId);
    if (isCorrected || deal?.correction != null) expected[i]!.files.add(correctionName(manifest.dealId));
    if (keepersOf(placement).includes(peer)) expected[i]!.files.add(ciphertextName(tokenId, generation));
  }
  return problems;
}

/** After a destroy that all providers confirmed. */
export async function problemsAfterDestroy(world: CrashWorld, tokenText: string): Promise<string[]> {
  const { tokenId } = parseTokenText(tokenText);
  const problems: string[] = [];
  for (const [i, disk] of world.disks.entries()) {
    const dealt = disk.events.some((event) => event.kind === "sealed" && equalBytes(event.tokenId, tokenId));
    if (dealt && (await loadTombstone(disk, tokenId)) === undefined && !hasLeft(disk, tokenId)) {
      problems.push(`provider ${i + 1} does not know that it destroyed the deposit`);
    }
  }
  return [...problems, ...(await problemsAtRest(world, []))];
}

function hasLeft(disk: MemoryStore, tokenId: Uint8Array): boolean {
  return disk.events.some((event) => event.kind === "left" && equalBytes(event.tokenId, tokenId));
}

/** What is no change of state may be told more than once. */
const NO_CHANGE: ReadonlySet<AuditEvent["kind"]> = new Set<AuditEvent["kind"]>([
  ...(["started", "stopped", "served", "refused", "accounted", "gave-part", "gave-ciphertext", "repaired"] as const),
]);

/** Each change of state is told once, and each share that came has gone once at most. */
export function problemsOfLogs(world: CrashWorld): string[] {
  const problems: string[] = [];
  for (const [i, { events }] of world.disks.entries()) {
    const seen = new Set<string>();
    for (const event of events) {
      if (NO_CHANGE.has(event.kind)) continue;
      const { from: _, ...told } = event as AuditEvent & { from?: string };
      const key = JSON.stringify(told, (_, value) => (ArrayBuffer.isView(value) ? hexOf(value as Uint8Array) : value));
      if (seen.has(key)) problems.push(`provider ${i + 1} tells twice: ${event.kind}`);
      seen.add(key);
    }
    const gone = events.filter(({ kind }) => kind === "burnt" || kind === "change-dropped" || kind === "destroyed");
    const dealIds = gone.map((event) => hexOf((event as { dealId: Uint8Array }).dealId));
    if (new Set(dealIds).size < dealIds.length) problems.push(`provider ${i + 1} tells twice that a share is gone`);
  }
  return problems;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
