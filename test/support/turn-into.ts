/** A peer that takes part no more as it was: from now on it lies. */
import { CUSTODY_PROTOCOL } from "../../protocols/custody/constants.ts";
import { type CustodyProvider, custodyHandlers } from "../../protocols/custody/server/index.ts";
import { createDealKeeper, createDealServer, DEALING_PROTOCOL } from "../../protocols/dealing/index.ts";
import { simdKernel } from "../../protocols/field/index.ts";
import type { RoundTools } from "../../protocols/rounds/layer.ts";
import type { Handlers, Transport } from "../../protocols/wire/transport.ts";
import {
  type DealerLie,
  type LiarTools,
  lyingDealer,
  lyingProvider,
  type ProviderLie,
} from "../../testnet/liars/index.ts";
import { entropy, type World } from "./custody-world.ts";

/** A lie that one test needs. */
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
  await turnIntoLiar(world, number, {
    ...{ name: "a lie of a test", about: "what the test says", isAttributable: false },
    begin({ honest }) {
      const transport: Transport = {
        ...honest.transport,
        ...(ask && { ask: ask(honest.transport.ask) }),
        ...(open && { open: open(honest.transport.open) }),
      };
      return {
        parts: { ...custody, transport, tools: { ...honest.tools, ...tools } },
        handlers: (made, protocol) =>
          protocol === CUSTODY_PROTOCOL ? (handlers?.(made, honest.transport) ?? made) : made,
      };
    },
  });
}

/** A provider that tells one of the lies that there are. */
export async function turnIntoLiar(
  world: World,
  number: number,
  lie: ProviderLie,
  reports: Partial<LiarTools> = {},
): Promise<void> {
  const { peer, custody } = world.providers[number - 1]!;
  world.network.kill(peer);
  const transport = world.network.transport(peer, { clock: custody.clock });
  const liar = lyingProvider(lie, { ...custody, transport }, toolsOf(custody, reports));
  const { clock, isDealer, agreementKey, store, tools } = liar.own;
  const { keystream } = tools;
  const keeper = createDealKeeper({ peer, agreementKey, store, clock, keystream, isDealer });
  await transport.serve(DEALING_PROTOCOL, liar.serves(DEALING_PROTOCOL, keeper));
  await transport.serve(CUSTODY_PROTOCOL, liar.serves(CUSTODY_PROTOCOL, custodyHandlers(liar.own)));
  world.network.revive(peer);
}

/** The same for the dealer. */
export async function turnDealerInto(world: World, lie: DealerLie, reports: Partial<LiarTools> = {}): Promise<void> {
  const { dealer, dealing, network } = world;
  network.kill(dealer);
  const transport = network.transport(dealer, { clock: dealing.clock });
  const liar = lyingDealer(lie, { ...dealing, transport }, toolsOf(dealing, reports));
  await transport.serve(DEALING_PROTOCOL, liar.serves(DEALING_PROTOCOL, createDealServer(liar.own)));
  network.revive(dealer);
}

function toolsOf({ clock }: Pick<LiarTools, "clock">, reports: Partial<LiarTools>): LiarTools {
  return { entropy, clock, told: () => {}, ...reports };
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
