/** The envelope comes to a new keeper before it is active: from an old keeper, held against what the owner signed for. */
import type { KeptEnvelope } from "../../kept-envelope.ts";
import { keepersOf } from "../../placement.ts";
import { fetchEnvelope } from "../fetch-envelope.ts";
import type { CustodyProvider } from "../provider.ts";
import { before, type StoredChange } from "./change-record.ts";

/** @returns the envelope that is here now; null when the deposit has none. @throws IntercloudError NO_ENVELOPE. */
export async function newEnvelope(
  provider: CustodyProvider,
  stored: StoredChange,
  signal: AbortSignal,
): Promise<KeptEnvelope | null> {
  if (stored.record.envelope !== null) return stored.record.envelope;
  const { tokenId } = stored.change;
  const { placement, envelope } = await before(provider.store, stored);
  if (envelope === null) return null;
  const header = { request: stored.record.request };
  const keepers = keepersOf(placement);
  await fetchEnvelope(provider, { tokenId, envelope, keepers, method: "change-envelope", header }, signal);
  return envelope;
}
