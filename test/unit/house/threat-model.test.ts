/** docs/threat-model.md makes no claim without a test: each test that it names is there. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { cannotRowsByHeading, problemsIn, titlesIn } from "./claims.ts";

const root = path.join(import.meta.dirname, "../../..");
const document = readFileSync(path.join(root, "docs/threat-model.md"), "utf8");

const known = new Map<string, string[] | undefined>();

function titlesOf(file: string): string[] | undefined {
  const found = path.join(root, file);
  if (!known.has(file)) {
    known.set(file, existsSync(found) ? titlesIn(file, readFileSync(found, "utf8")) : undefined);
  }
  return known.get(file);
}

test("each test that the threat model names is there, and each thing that somebody cannot do has one", () => {
  expect(problemsIn(document, titlesOf)).toEqual([]);
});

test.each([
  "The dealer",
  "Home",
  "Up to t-1 providers together",
  "The network",
  "A thief of a token",
  "A thief of a provider's disk",
  "A thief of a user's home",
  "Another user, or a stranger",
  "A grantee",
  "The audit log: who can do what to it",
])("it says what they cannot do: %s", (heading) => {
  expect(cannotRowsByHeading(document).get(heading)).toBeGreaterThan(0);
});

describe("what is wrong is found", () => {
  const titles: Readonly<Record<string, readonly string[]>> = { "test/a.test.ts": ["it holds", "it holds on"] };
  const problems = (text: string) => problemsIn(text, (file) => titles[file]);
  const row = (shownBy: string) => `| cannot | fly | ${shownBy} |`;

  test("not in what is right", () => {
    expect(problems(row('`test/a.test.ts` "holds on", "it holds"'))).toEqual([]);
    expect(problems('| can | fly | |\n\nNobody cannot fly, see `test/a.test.ts`, "it holds".')).toEqual([]);
  });

  test.each([
    ["a claim without a test", row(""), "no test shows it"],
    ["a claim with words in place of a test", row('"it holds"'), "no test shows it"],
    ["a claim in another column", "| somebody | cannot | fly | - |", "no test shows it"],
    ["a file that is not there", row('`test/b.test.ts` "it holds"'), "there is no test/b.test.ts"],
    ["a file that is not named from the root", row('`a.test.ts` "it holds"'), "there is no a.test.ts"],
    ["a file without a title", row("`test/a.test.ts`"), "which test of test/a.test.ts"],
    ["a title that is not there", row('`test/a.test.ts` "it holds", "it flies"'), 'is called "it flies"'],
    ["the same outside of a table", 'see `test/a.test.ts`, "it flies"', 'is called "it flies"'],
  ])("%s", (_, text, problem) => {
    expect(problems(text)).toEqual([expect.stringContaining(problem)]);
  });

  test("a title is that of a test, not any text of its file", () => {
    const text = [
      '// it("in a comment")',
      'const said = say("in a call");',
      'describe.each([1])("a group", () => {',
      "  it.each<[number]>([[1]])(`of n=%i`, () => expect(said).toBe('in a test'));",
      '  test("plain", () => {});',
      "});",
    ].join("\n");
    expect(titlesIn("a.test.ts", text).sort()).toEqual(["a group", "of n=%i", "plain"]);
  });
});
