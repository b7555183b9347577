/** One step of a deposit at a provider: bytes pass once, and whatever goes wrong burns the deal. */
import type { Channel, Context } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import type { ActiveDeposits } from "./active.ts";
import { burnUnsealed } from "./burn.ts";
import type { CustodyProvider } from "./provider.ts";

export interface Step {
  readonly provider: CustodyProvider;
  readonly active: ActiveDeposits;
  readonly tokenId: Uint8Array;
  /** Unique within the deposit. */
  readonly name: string;
  readonly channel: Channel;
  readonly context: Context;
}

/**
 * The signal given to `action` fires when the asking side goes away or the owner abandons the deposit.
 * @throws IntercloudError ALREADY_RUNNING when the step is under way already; that burns nothing.
 */
export async function runStep(step: Step, action: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const { provider, active, tokenId, name, channel, context } = step;
  await active.run(tokenId, name, context.signal, async (signal) => {
    const release = abortOn(signal, channel);
    try {
      await action(signal);
      await channel.close();
    } catch (error) {
      await burnUnsealed(provider, tokenId, "failed");
      throw error;
    } finally {
      release();
    }
  });
}
