/** What docs/threat-model.md claims, and the tests that it names for it. */
import { parseSync, Visitor } from "oxc-parser";

/** A test file, and parts of titles in it. */
export interface Reference {
  readonly file: string;
  readonly titles: readonly string[];
}

const REFERENCE = /`([^`\s]+\.test\.ts)`((?:,? "[^"]+")*)/g;

export function referencesIn(text: string): Reference[] {
  return [...text.matchAll(REFERENCE)].map(([, file = "", titles = ""]) => ({
    file,
    titles: [...titles.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title),
  }));
}

/** The rows of all tables that say what somebody cannot do: one of their cells is the word. */
export function cannotRows(document: string): string[] {
  return document.split("\n").filter((line) => {
    const cells = line.split("|").map((cell) => cell.trim());
    return line.startsWith("|") && cells.includes("cannot");
  });
}

/** The rows of that kind under each heading of the second level. */
export function cannotRowsByHeading(document: string): ReadonlyMap<string, number> {
  const sections = document.split(/^## /m).slice(1);
  return new Map(sections.map((section) => [section.split("\n", 1)[0]!, cannotRows(section).length]));
}

/** The titles of all tests and groups of tests in a file, as they are written there. */
export function titlesIn(file: string, text: string): string[] {
  const { program, errors } = parseSync(file, text);
  if (errors[0] !== undefined) throw new Error(`${file}: ${errors[0].message}`);
  const titles: string[] = [];
  new Visitor({
    CallExpression({ callee, arguments: [title] }) {
      if (title === undefined || !/^(test|it|describe)\b/.test(text.slice(callee.start, callee.end))) return;
      if (title.type === "Literal" && typeof title.value === "string") titles.push(title.value);
      if (title.type === "TemplateLiteral") titles.push(text.slice(title.start + 1, title.end - 1));
    },
  }).visit(program);
  return titles;
}

/** @param titlesOf the titles in a test file; undefined when there is no such file @returns what is wrong, one sentence each */
export function problemsIn(document: string, titlesOf: (file: string) => readonly string[] | undefined): string[] {
  const unshown = cannotRows(document).filter((row) => referencesIn(row).length === 0);
  return [
    ...unshown.map((row) => `no test shows it: ${row}`),
    ...referencesIn(document).flatMap(({ file, titles }) => {
      const known = titlesOf(file);
      if (known === undefined) return [`there is no ${file}`];
      if (titles.length === 0) return [`it does not say which test of ${file}`];
      const missing = titles.filter((title) => !known.some((each) => each.includes(title)));
      return missing.map((title) => `no test of ${file} is called "${title}"`);
    }),
  ];
}
