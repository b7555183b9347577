import { describe, expect, test } from "vitest";
import { violationsIn } from "../../../scripts/house/rules.ts";

/** The reasons found in a tree of these files. */
function reasons(files: Record<string, string>): string[] {
  return violationsIn(new Map(Object.entries(files))).map(({ file, line, why }) => `${file}:${line} ${why}`);
}

/** The reasons found in one file of protocol code. */
function inProtocol(text: string): string[] {
  return reasons({ "protocols/rounds/a.ts": text });
}

describe("rooms", () => {
  test.each([
    ["protocols/wire/a.ts", "../rounds/b.ts"],
    ["protocols/tokens/a.ts", "../custody/b.ts"],
    ["protocols/custody/server/a.ts", "../../../runtime/b.ts"],
    ["runtime/a.ts", "../node/b.ts"],
    ["client/a.ts", "../testnet/b.ts"],
    ["testnet/a.ts", "../bin/b.ts"],
    ["bin/a.ts", "../scripts/b.ts"],
  ])("%s may not import upwards: %s", (file, specifier) => {
    expect(reasons({ [file]: `import { b } from "${specifier}";` })).toEqual([expect.stringContaining("stands above")]);
  });

  test.each([
    ["node/a.ts", "../client/b.ts"],
    ["rng-dealer/a.ts", "../node/b.ts"],
    ["client/commands/a.ts", "../../rng-dealer/b.ts"],
  ])("%s does not know %s", (file, specifier) => {
    expect(reasons({ [file]: `import { b } from "${specifier}";` })).toEqual([
      expect.stringContaining("do not know each other"),
    ]);
  });

  test.each([
    ["protocols/crypto/a.ts", "../wire/b.ts"],
    ["protocols/custody/a.ts", "../dealing/b.ts"],
    ["node/a.ts", "../protocols/custody/b.ts"],
    ["testnet/a.ts", "../rng-dealer/b.ts"],
    ["scripts/a.ts", "../bin/b.ts"],
    ["test/unit/a.test.ts", "../../node/b.ts"],
    ["test/unit/a.test.ts", "../support/b.ts"],
  ])("%s may import %s", (file, specifier) => {
    expect(reasons({ [file]: `import { b } from "${specifier}";` })).toEqual([]);
  });

  test("every way to import is seen", () => {
    for (const line of [
      'import "../node/b.ts";',
      'import b from "../node/b.ts";',
      'import type { B } from "../node/b.ts";',
      'export { b } from "../node/b.ts";',
      'export * from "../node/b.ts";',
      'export type { B } from "../node/b.ts";',
      'const b = await import("../node/b.ts");',
      "import {\n  b,\n} from '../node/b.ts';",
    ]) {
      expect(reasons({ "runtime/a.ts": line }), line).toHaveLength(1);
    }
    expect(reasons({ "runtime/a.ts": "const b = (name: string) => import(name);" })).toEqual([
      expect.stringContaining("must be written out"),
    ]);
    expect(reasons({ "runtime/a.ts": '// import "../node/b.ts";\nconst text = \'import "../node/b.ts";\';' })).toEqual(
      [],
    );
  });

  test("the product never imports tests, and a room must be known", () => {
    expect(reasons({ "scripts/a.ts": 'import { b } from "../test/support/b.ts";' })).toEqual([
      expect.stringContaining("never part of the product"),
    ]);
    expect(reasons({ "runtime/a.ts": 'import { b } from "../helpers/b.ts";' })).toEqual([
      expect.stringContaining("is no room"),
    ]);
  });

  test("the line of the import is told", () => {
    expect(reasons({ "runtime/a.ts": '\n\nimport { b } from "../node/b.ts";' })[0]).toMatch(/^runtime\/a\.ts:3 /);
  });
});

describe("packages", () => {
  test("libp2p is met in protocols/wire and node only", () => {
    for (const specifier of ["libp2p", "@libp2p/interface", "@libp2p/crypto/keys", "@chainsafe/libp2p-noise"]) {
      const line = `import { x } from "${specifier}";`;
      for (const file of ["client/a.ts", "runtime/a.ts", "protocols/custody/a.ts", "testnet/a.ts"]) {
        expect(reasons({ [file]: line }), `${specifier} in ${file}`).toHaveLength(1);
      }
      expect(reasons({ "protocols/wire/a.ts": line, "node/a.ts": line, "test/integration/a.ts": line })).toEqual([]);
    }
  });

  test("protocol code imports no system", () => {
    for (const name of ["fs", "fs/promises", "net", "http", "process", "child_process", "os", "timers/promises"]) {
      expect(inProtocol(`import { x } from "node:${name}";`), name).toHaveLength(1);
      expect(inProtocol(`import { x } from "${name}";`), name).toHaveLength(1);
    }
    expect(inProtocol('import { createHash, hkdfSync } from "node:crypto";')).toEqual([]);
    expect(reasons({ "node/a.ts": 'import { x } from "node:fs";' })).toEqual([]);
  });

  test("nor the system's randomness", () => {
    for (const name of [
      "randomBytes",
      "randomInt",
      "randomUUID",
      "randomFillSync",
      "generateKeyPairSync",
      "webcrypto",
    ]) {
      expect(inProtocol(`import { ${name} } from "node:crypto";`), name).toEqual([expect.stringContaining("Entropy")]);
      expect(inProtocol(`import { ${name} as x } from "node:crypto";`), name).toHaveLength(1);
    }
    for (const clause of ["crypto", "* as crypto", "crypto, { createHash }"]) {
      expect(inProtocol(`import ${clause} from "node:crypto";`), clause).toHaveLength(1);
    }
    expect(inProtocol('export * from "node:crypto";')).toHaveLength(1);
  });
});

describe("globals", () => {
  test.each([
    "Date.now()",
    "new Date()",
    "performance.now()",
    "setTimeout(f, 1)",
    "setInterval(f, 1)",
    "AbortSignal.timeout(5)",
    "Math.random()",
    "crypto.getRandomValues(a)",
    "console.log(1)",
    "process.env",
    "globalThis.setTimeout(f, 1)",
    'fetch("x")',
  ])("%s is not for protocol code", (expression) => {
    const text = `export const x = (f: () => void, a: Uint8Array) => { ${expression}; };`;
    expect(inProtocol(text)).toHaveLength(1);
    expect(reasons({ "runtime/a.ts": text })).toEqual([]);
  });

  test("what only looks alike is allowed", () => {
    expect(
      inProtocol("const t = new Date(5); const m = Math.max(1, 2); clock.process(); a.console.b(); // Date.now()"),
    ).toEqual([]);
  });
});

describe("sides and cycles", () => {
  test("a client reaches no server, not even through another file", () => {
    const direct = { "protocols/custody/client.ts": 'import { s } from "./server.ts";' };
    expect(reasons(direct)).toEqual([expect.stringContaining("a client reaches a server")]);
    const indirect = {
      "protocols/custody/client/get.ts": 'import { h } from "../helper.ts";',
      "protocols/custody/helper.ts": 'export { s as h } from "./server/index.ts";',
      "protocols/custody/server/index.ts": "export const s = 1;",
    };
    expect(reasons(indirect)).toEqual([expect.stringContaining("helper.ts -> protocols/custody/server/index.ts")]);
    expect(reasons({ "protocols/custody/server.ts": 'import { c } from "./client.ts";' })).toEqual([]);
  });

  test("a cycle of value imports is found once; types may refer to each other", () => {
    const cycle = {
      "runtime/a.ts": 'import { b } from "./b.ts"; export const a = b;',
      "runtime/b.ts": 'import { c } from "./c.ts"; export const b = c;',
      "runtime/c.ts": 'import { a } from "./a.ts"; export const c = a;',
    };
    expect(reasons(cycle)).toEqual([expect.stringContaining("imports itself")]);
    expect(reasons({ ...cycle, "runtime/c.ts": 'import type { A } from "./a.ts"; export const c = 1;' })).toEqual([]);
    expect(reasons({ ...cycle, "runtime/c.ts": 'import { type A } from "./a.ts"; export const c = 1;' })).toEqual([]);
  });
});

test("a file that cannot be parsed is an error, not a pass", () => {
  expect(() => violationsIn(new Map([["runtime/a.ts", "import {"]]))).toThrow(/runtime\/a\.ts/);
});
