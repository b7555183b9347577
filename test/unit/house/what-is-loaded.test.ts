/** A command that is typed starts a process: what it does not need it does not load. */
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { readSource } from "../../../scripts/house/source-file.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");

/** The packages that a file and what it imports may load, at once or later. @param follow which of our files are gone through */
function packagesOf(entry: string, follow: (file: string) => boolean = () => true): Set<string> {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file) || !follow(file)) return;
    seen.add(file);
    for (const { specifier, isValue } of readSource(file, readFileSync(path.join(ROOT, file), "utf8")).imports) {
      if (!isValue || isBuiltin(specifier)) continue;
      if (specifier.startsWith(".")) visit(path.posix.join(path.posix.dirname(file), specifier));
      else packages.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier);
    }
  };
  visit(entry);
  return packages;
}

/** A provider's DHT, store, log and metrics. */
const FOR_DAEMONS = ["@libp2p/kad-dht", "@libp2p/identify", "level", "pino", "prom-client"];

const commands = readdirSync(path.join(ROOT, "client/commands"))
  .map((name) => `client/commands/${name}`)
  .filter((file) => readFileSync(path.join(ROOT, file), "utf8").includes("export const command"));

describe("a user's command loads nothing that only a daemon needs", () => {
  test.each(commands)("%s", (file) => {
    const packages = packagesOf(file);
    expect(FOR_DAEMONS.filter((name) => packages.has(name))).toEqual([]);
  });

  test("and what a daemon needs would be seen", () => {
    const packages = packagesOf("node/commands/run.ts");
    expect(FOR_DAEMONS.filter((name) => !packages.has(name))).toEqual([]);
    expect(packagesOf("client/commands/decrypt.ts")).toContain("libp2p");
  });
});

test("until it is known which command was typed, nothing is loaded but the parser of the command line", () => {
  const beforeCommands = (file: string) => /^(bin|runtime|protocols)\//.test(file);
  expect([...packagesOf("bin/main.ts", beforeCommands)]).toEqual(["commander"]);
});
