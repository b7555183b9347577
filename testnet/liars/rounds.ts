/** Lies in the arithmetic of rounds: another layer than the share makes, another part for one peer than for the others. */
import type { Transport } from "../../protocols/wire/transport.ts";
import { fieldsOf, isAsked, isBytes } from "./asked.ts";
import { bentOpen, spoil, spoilt } from "./bend.ts";
import type { ProviderLie } from "./lie.ts";

const GETS = new Set(["read", "retrieve"]);
const DEPOSITS = new Set(["place", "pour", "collect", "part", "place-lot", "link-lot"]);
const CHANGES = new Set(["repair-part", "change-part", "change-transfer"]);

/** What it lays in a round is not what its share makes, and it signs that. */
function otherLayer(methods: ReadonlySet<string>): ProviderLie["begin"] {
  return ({ honest, entropy, lied }) => ({
    parts: {
      tools: {
        ...honest.tools,
        kernel: {
          ...honest.tools.kernel,
          addScaled(target, source, coefficient) {
            honest.tools.kernel.addScaled(target, source, coefficient);
            if (!isAsked(methods)) return;
            spoil(target, entropy);
            lied();
          },
        },
      },
    },
  });
}

/** One of those that it gives the same bytes to gets others. */
function twoParts({ honest, entropy, lied }: Parameters<ProviderLie["begin"]>[0]): Transport {
  const toOthers = new Set(["copy", "change-copy", "lot-part"]);
  const victims = new Map<string, string>();
  const isVictim = (about: unknown, to: string): boolean => {
    const key = isBytes(about) ? Buffer.from(about).toString("hex") : "";
    const victim = victims.get(key) ?? to;
    victims.set(key, victim);
    return victim === to;
  };
  const { transport } = honest;
  const opening = bentOpen(transport, (to, method, header) => {
    const { tokenId, lotId, request } = fieldsOf(header);
    if (!toOthers.has(method) || !isVictim(tokenId ?? lotId ?? request, to)) return undefined;
    return {
      body(source) {
        lied(method);
        return spoilt(source, entropy);
      },
    };
  });
  return {
    ...opening,
    async ask(to, protocol, method, body, options) {
      const { tokenId, part } = fieldsOf(body);
      if (method !== "place-part" || !isBytes(part) || !isVictim(tokenId, to)) {
        return await transport.ask(to, protocol, method, body, options);
      }
      const other = part.slice();
      spoil(other, entropy);
      lied(method);
      return await transport.ask(to, protocol, method, { tokenId: tokenId ?? null, part: other }, options);
    },
  };
}

export const ROUND_LIES: readonly ProviderLie[] = [
  {
    name: "wrong-layer",
    about: "lays another layer than its share makes when somebody gets a deposit",
    isAttributable: true,
    begin: otherLayer(GETS),
  },
  {
    name: "wrong-layer-in-deposits",
    about: "lays another layer than its share makes while a deposit is made",
    isAttributable: false,
    begin: otherLayer(DEPOSITS),
  },
  {
    name: "wrong-part",
    about: "gives a part that its shares do not make in a repair, refresh or move",
    isAttributable: false,
    begin: otherLayer(CHANGES),
  },
  {
    name: "two-parts",
    about: "gives one keeper another part, or copy, of a deposit than the others",
    isAttributable: false,
    begin: (liar) => ({ parts: { transport: twoParts(liar) } }),
  },
];
