/** A provider that takes part no more as it was: from now on it lies. */

import { CUSTODY_PROTOCOL } from "../../protocols/custody/constants.ts";
import { type CustodyProvider, custodyHandlers } from "../../protocols/custody/server/index.ts";
import { createDealKeeper, DEALING_PROTOCOL } from "../../protocols/dealing/index.ts";
import { simdKernel } from "../../protocols/field/index.ts";
import type { RoundTools } from "../../protocols/rounds/layer.ts";
import type { Handlers, Transport } from "../../protocols/wire/transport.ts";
import { systemClock } from "../../runtime/clock.ts";
import type { World } from "./custody-world.ts";

export interface Lie {
  /** What it asks of others. */
  readonly ask?: (ask: Transport["ask"]) => Transport["ask"];
  readonly open?: (open: Transport["open"]) => Transport["open"];
  /** What it answers. */
  readonly handlers?: (honest: Handlers, transport: Transport) => Handlers;
  /** What it computes with. */
  readonly tools?: Partial<RoundTools>;
  readonly custody?: Partial<CustodyProvider>;
}

export async function turnInto(
  world: World,
  number: number,
  { ask, open, handlers, tools, custody }: Lie,
): Promise<void> {
  const { peer, custody: before } = world.providers[number - 1]!;
  world.network.kill(peer);
  const transport = world.network.transport(peer, { clock: systemClock });
  const lying: Transport = {
    ...transport,
    ...(ask && { ask: ask(transport.ask) }),
    ...(open && { open: open(transport.open) }),
  };
  const after = { ...before, ...custody, transport: lying, tools: { ...before.tools, ...tools } };
  const { clock, isDealer, agreementKey, store } = after;
  const { keystream } = before.tools;
  await transport.serve(DEALING_PROTOCOL, createDealKeeper({ peer, agreementKey, store, clock, keystream, isDealer }));
  const honest = custodyHandlers(after);
  await transport.serve(CUSTODY_PROTOCOL, handlers?.(honest, transport) ?? honest);
  world.network.revive(peer);
}

/** Lays another layer than its share makes, where its coefficient is not 1: each liar changes the last byte in a way of its own. */
export function wrongLayer(number: number): Lie {
  return {
    tools: {
      kernel: {
        ...simdKernel,
        addScaled(target, source, coefficient) {
          simdKernel.addScaled(target, source, coefficient);
          if (coefficient !== 1) target[target.length - 1]! ^= number;
        },
      },
    },
  };
}
