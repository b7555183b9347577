/**
 * How much an owner has here. Adding up all of its deposits takes longer the more there are, so what it has at most is remembered, and
 * added up anew only when that would be too much.
 */
import { createRecent, type Recent } from "../../crypto/recent.ts";
import type { Store } from "../../storage/index.ts";
import { ownedTokens } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";

/** Owners that are remembered, a hundred bytes each. */
const MAX_OWNERS = 10_000;

/** By store and owner: everything that was let in since it was added up. Deposits that failed or are gone make it too much, never too little. */
const mostBytes = new WeakMap<Store, Recent<number>>();

function remembered(store: Store): Recent<number> {
  const known = mostBytes.get(store) ?? createRecent<number>(MAX_OWNERS);
  mostBytes.set(store, known);
  return known;
}

async function addUp(store: Store, owner: string): Promise<number> {
  let bytes = 0;
  for await (const [, storedBytes] of ownedTokens(store, owner)) bytes += storedBytes;
  return bytes;
}

/** Whether the owner may have so many bytes more here, which are counted then. What is not sealed does not count for long. */
export async function letIn({ limits, store }: CustodyProvider, owner: string, bytes: number): Promise<boolean> {
  const known = remembered(store);
  if (known.get(owner) === undefined) {
    const found = await addUp(store, owner);
    known.set(owner, known.get(owner) ?? found);
  }
  if (known.get(owner)! + bytes > limits.maxOwnerBytes) known.set(owner, await addUp(store, owner));
  const most = known.get(owner)! + bytes;
  if (most > limits.maxOwnerBytes) return false;
  known.set(owner, most);
  return true;
}

/** How many bytes more the owner may have here, now that nothing is under way; negative when it has too much. */
export async function quotaLeft({ limits, store }: CustodyProvider, owner: string): Promise<number> {
  const known = remembered(store).get(owner);
  // Far from the limit it does not matter where exactly.
  if (known !== undefined && known < limits.maxOwnerBytes / 2) return limits.maxOwnerBytes - known;
  return limits.maxOwnerBytes - (await addUp(store, owner));
}
