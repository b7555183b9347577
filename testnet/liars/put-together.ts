/** Putting a liar together: the parts that its node is made of, and what it serves. */
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import type { DealServerOptions } from "../../protocols/dealing/server.ts";
import type { Handlers } from "../../protocols/wire/transport.ts";
import { type Question, question, tokenAskedAbout, watched } from "./asked.ts";
import type { About, DealerLie, Liar, LiarTools, ProviderLie, Substitutes } from "./lie.ts";

export interface LyingNode<Parts> {
  /** What the rest of the node is to be made of. */
  readonly own: Parts;
  /** What is to be served under the protocol. @param made by the real code, from `own` */
  serves(protocol: string, made: Handlers): Handlers;
}

/** @param honest the parts of a provider that does not lie */
export function lyingProvider(lie: ProviderLie, honest: CustodyProvider, tools: LiarTools): LyingNode<CustodyProvider> {
  return composed(honest, tools, (liar) => lie.begin(liar));
}

/** @param honest the parts of a dealer that does not lie */
export function lyingDealer(lie: DealerLie, honest: DealServerOptions, tools: LiarTools): LyingNode<DealServerOptions> {
  return composed(honest, tools, (liar) => lie.begin(liar));
}

function composed<Parts>(
  honest: Parts,
  tools: LiarTools,
  begin: (liar: Liar<Parts>) => Substitutes<Parts>,
): LyingNode<Parts> {
  const about = (asked = question()): About => ({ tokenId: asked && tokenAskedAbout(asked) });
  const told = new WeakSet<Question>();
  const { parts, handlers } = begin({
    ...{ honest, entropy: tools.entropy, clock: tools.clock },
    lied(doing = "") {
      const asked = question();
      // a body is one lie, and not one for each of its pieces
      if (asked !== undefined && told.has(asked)) return;
      if (asked !== undefined) told.add(asked);
      tools.told(asked?.method ?? doing, about(asked));
    },
    gained: (method) => tools.gained?.(method, about()),
  });
  const own: Parts = { ...honest, ...parts };
  return { own, serves: (protocol, made) => watched(handlers?.(made, protocol, own) ?? made) };
}
