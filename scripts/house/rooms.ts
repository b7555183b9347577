/** Which room a file is in, and which rooms it may import from. DESIGN calls this the import rule. */

/**
 * From the bottom up: a room imports from its own storey and from those below. Rooms that share a storey and are named in
 * `STRANGERS` must not know each other.
 */
const STOREYS: readonly (readonly string[])[] = [
  ["protocols/wire", "protocols/field", "protocols/crypto", "protocols/storage"],
  ["protocols/rounds", "protocols/tokens", "protocols/audit"],
  ["protocols/dealing", "protocols/custody", "protocols/identity", "protocols/envelope"],
  ["runtime"],
  ["node", "rng-dealer", "client"],
  ["testnet"],
  ["bin"],
  ["scripts", "test"],
];

const STRANGERS = new Set(["node", "rng-dealer", "client"]);

/** The room of a file, by its path from the clone's root; undefined for a file that stands in none (a config file). */
export function roomOf(file: string): string | undefined {
  const words = file.split("/");
  const room = words[0] === "protocols" ? words.slice(0, 2).join("/") : words[0];
  return words.length > 1 ? room : undefined;
}

/** Why a file of room `from` may not import one of room `to`, or undefined when it may. */
export function whyNot(from: string, to: string): string | undefined {
  if (from === to) return undefined;
  if (to === "test") return "tests are never part of the product";
  const fromStorey = storeyOf(from);
  const toStorey = storeyOf(to);
  if (fromStorey === undefined || toStorey === undefined) {
    return `${fromStorey === undefined ? from : to} is no room that the import rule knows; add it to scripts/house/rooms.ts`;
  }
  if (toStorey > fromStorey) return `${to} stands above ${from}`;
  if (STRANGERS.has(from) && STRANGERS.has(to)) return `${from} and ${to} do not know each other; put it into runtime/`;
  return undefined;
}

function storeyOf(room: string): number | undefined {
  const storey = STOREYS.findIndex((rooms) => rooms.includes(room));
  return storey === -1 ? undefined : storey;
}
