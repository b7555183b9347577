/** What the disks hold in the end, as the checker wants to know it. */
import type { AuditEvent } from "../../../protocols/audit/index.ts";
import { keepersOf } from "../../../protocols/custody/placement.ts";
import { ciphertextName, findDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { idOfHex, loadHeldDeal } from "../../../protocols/dealing/held-deal.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { FinalStore, Finals, KeptDeposit, StoredEvent } from "../../../testnet/checker/history.ts";
import type { MemoryStore } from "../memory-store.ts";
import type { SimulatedWorld } from "./world.ts";

const DEAL = "deal/";
const DEPOSIT = "deposit/";

export async function finalsOf(world: SimulatedWorld, tokens: ReadonlyMap<string, string>): Promise<Finals> {
  const stores = await Promise.all(world.disks.map((disk, i) => finalStore(world, disk, world.peers[i]!)));
  const tokenIds = Object.fromEntries([...tokens].map(([name, text]) => [name, hexOf(parseTokenText(text).tokenId)]));
  return { stores, tokenIds };
}

async function finalStore(world: SimulatedWorld, disk: MemoryStore, peer: string): Promise<FinalStore> {
  const idsOf = (prefix: string) =>
    [...disk.records.keys()].filter((key) => key.startsWith(prefix)).map((key) => idOfHex(key.slice(prefix.length)));
  const deals = await Promise.all(idsOf(DEAL).map((dealId) => loadHeldDeal(disk, dealId)));
  const deposits: KeptDeposit[] = [];
  for (const tokenId of idsOf(DEPOSIT)) {
    const found = await findDeposit(disk, tokenId);
    if (found === undefined) continue;
    const { record, placement } = found;
    const { generation, manifest, roster } = placement;
    deposits.push({
      tokenId: hexOf(tokenId),
      ...{ state: record.state, generation, dealId: hexOf(manifest.dealId), roster: roster.map(world.nameOf) },
      ...{ threshold: manifest.threshold, copies: placement.copies },
      holdsCiphertext: keepersOf(placement).includes(peer) && disk.files.has(ciphertextName(tokenId, generation)),
    });
  }
  return {
    ...{ peer: world.nameOf(peer), deposits, records: [...disk.records.keys()], bodies: [...disk.files.keys()] },
    deals: deals.flatMap((deal) =>
      deal === undefined
        ? []
        : [{ dealId: hexOf(deal.dealId), state: deal.state, boundTo: deal.boundTo ? hexOf(deal.boundTo) : undefined }],
    ),
    events: disk.events.map(storedEvent),
  };
}

function storedEvent(event: AuditEvent): StoredEvent {
  const { tokenId, dealId } = event as { readonly tokenId?: Uint8Array | null; readonly dealId?: Uint8Array };
  const { from: _, ...told } = event as AuditEvent & { readonly from?: string };
  return {
    ...{ kind: event.kind, tokenId: tokenId ? hexOf(tokenId) : undefined, dealId: dealId && hexOf(dealId) },
    told: JSON.stringify(told, (_, value) => (ArrayBuffer.isView(value) ? hexOf(value as Uint8Array) : value)),
  };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
