/** What a provider settles with the others now and then, after peers were away or died in the middle of something. */

import { settleChanges } from "./change/give-up.ts";
import { tellDues } from "./dues.ts";
import { settleLots } from "./lot/settle-lot.ts";
import type { CustodyProvider } from "./provider.ts";
import { settleLinked } from "./settle-linked.ts";

export async function settleCustody(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  await tellDues(provider, signal);
  await settleLinked(provider, signal);
  await settleLots(provider, signal);
  await settleChanges(provider, signal);
}
