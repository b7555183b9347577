/** The house rules that a linter does not know, as pure functions of the files' texts. */
import { isBuiltin } from "node:module";
import path from "node:path";
import { roomOf, whyNot } from "./rooms.ts";
import { type Import, readSource, type SourceFile } from "./source-file.ts";

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly why: string;
}

const LIBP2P_ROOMS = new Set(["protocols/wire", "node", "scripts", "test"]);
const LIBP2P = /^(libp2p|@libp2p\/.*|@chainsafe\/libp2p-.*)$/;

// Protocol code computes and talks to what it was given. node:crypto is there for its primitives, not for its randomness;
// node:events knows nothing of the system.
const BUILTINS_IN_PROTOCOLS = new Set(["node:crypto", "node:events"]);
const RANDOMNESS = /^(random|generateKey|generatePrime|webcrypto|getRandomValues|default$|\*$)/;
const GLOBALS_NOT_IN_PROTOCOLS: Readonly<Record<string, string>> = {
  "Date.now": "time is passed in as a Clock",
  "new Date()": "time is passed in as a Clock",
  performance: "time is passed in as a Clock",
  "setTimeout()": "timers are passed in as a Clock",
  "setInterval()": "timers are passed in as a Clock",
  "AbortSignal.timeout": "timers are passed in as a Clock",
  "Math.random": "randomness is passed in as Entropy",
  "crypto.getRandomValues": "randomness is passed in as Entropy",
  "crypto.randomUUID": "randomness is passed in as Entropy",
  console: "protocol code returns or throws; who calls it logs",
  process: "what the process knows is passed in",
  globalThis: "what is global is passed in",
  "fetch()": "peers are reached through a Transport",
};

/**
 * @param files every file of the product and its tests: path from the root, with forward slashes, to its text
 * @returns violations in the order of the files
 */
export function violationsIn(files: ReadonlyMap<string, string>): readonly Violation[] {
  const sources = new Map([...files].map(([file, text]) => [file, readSource(file, text)]));
  return [
    ...[...sources].flatMap(([file, source]) => [
      ...source.imports.flatMap((one) => importViolations(file, one)),
      ...globalViolations(file, source),
    ]),
    ...sideViolations(sources),
    ...cycles(sources),
  ];
}

function importViolations(file: string, { specifier, names, line }: Import): readonly Violation[] {
  const room = roomOf(file);
  if (room === undefined) return [];
  const violation = (why: string): Violation[] => [{ file, line, why }];

  if (specifier === "") return violation("the module of an import() must be written out, so that it can be checked");
  if (specifier.startsWith(".")) {
    const target = roomOf(resolve(file, specifier));
    const why = target === undefined ? "it is in no room" : whyNot(room, target);
    return why === undefined ? [] : violation(`${specifier}: ${why}`);
  }
  if (LIBP2P.test(specifier) && !LIBP2P_ROOMS.has(room)) {
    return violation(`${specifier}: libp2p is met in protocols/wire and node/ only`);
  }
  if (!isBuiltin(specifier) || !inProtocols(file)) return [];
  if (!BUILTINS_IN_PROTOCOLS.has(specifier)) {
    return violation(`${specifier}: protocol code touches no files, no process and no network; pass it in`);
  }
  const random = names.find((name) => RANDOMNESS.test(name));
  return random === undefined ? [] : violation(`${random}: randomness is passed in as Entropy`);
}

function globalViolations(file: string, { globals }: SourceFile): readonly Violation[] {
  if (!inProtocols(file)) return [];
  const found = new Map<string, Violation>();
  for (const { name, line } of globals) {
    const why = Object.hasOwn(GLOBALS_NOT_IN_PROTOCOLS, name) ? GLOBALS_NOT_IN_PROTOCOLS[name] : undefined;
    if (why !== undefined) found.set(`${line} ${name}`, { file, line, why: `${name}: ${why}` });
  }
  return [...found.values()];
}

/** The asking side of a protocol and the answering side meet in messages only, so neither can rely on the other's honesty. */
function sideViolations(sources: ReadonlyMap<string, SourceFile>): readonly Violation[] {
  return [...sources.keys()]
    .filter((file) => sideOf(file) === "client")
    .flatMap((file) => {
      const way = wayTo(sources, file, (other) => sideOf(other) === "server");
      return way === undefined ? [] : [{ file, line: 1, why: `a client reaches a server: ${way.join(" -> ")}` }];
    });
}

/** A cycle of value imports runs in an order that nobody chose. One is reported per file that it starts from. */
function cycles(sources: ReadonlyMap<string, SourceFile>): readonly Violation[] {
  const found = new Map<string, Violation>();
  for (const file of sources.keys()) {
    const way = wayTo(sources, file, (other) => other === file);
    if (way === undefined) continue;
    const members = [...way].slice(1).sort().join(" ");
    if (!found.has(members)) found.set(members, { file, line: 1, why: `imports itself: ${way.join(" -> ")}` });
  }
  return [...found.values()];
}

/** The shortest way of one or more value imports from `file` to a file that `isTarget`. */
function wayTo(
  sources: ReadonlyMap<string, SourceFile>,
  file: string,
  isTarget: (file: string) => boolean,
): readonly string[] | undefined {
  const seen = new Set<string>();
  let ways: (readonly string[])[] = [[file]];
  while (ways.length > 0) {
    const next: (readonly string[])[] = [];
    for (const way of ways) {
      for (const { specifier, isValue } of sources.get(way.at(-1) ?? "")?.imports ?? []) {
        if (!isValue || !specifier.startsWith(".")) continue;
        const target = resolve(way.at(-1) ?? "", specifier);
        if (isTarget(target)) return [...way, target];
        if (!sources.has(target) || seen.has(target)) continue;
        seen.add(target);
        next.push([...way, target]);
      }
    }
    ways = next;
  }
  return undefined;
}

function sideOf(file: string): "client" | "server" | undefined {
  const [top, , side] = file.split("/");
  if (top !== "protocols" || side === undefined) return undefined;
  const name = side.replace(/\.ts$/, "");
  return name === "client" || name === "server" ? name : undefined;
}

function inProtocols(file: string): boolean {
  return file.startsWith("protocols/");
}

function resolve(file: string, specifier: string): string {
  return path.posix.join(path.posix.dirname(file), specifier);
}
