/** Reads what the house rules need to know from one TypeScript file. */
import { parseSync, Visitor } from "oxc-parser";

export interface Import {
  readonly specifier: string;
  /** False for `import type` and `export type`, which vanish before the program runs. */
  readonly isValue: boolean;
  /** Names taken from the module, `default` and `*` among them; empty for `import "x"` and `import("x")`. */
  readonly names: readonly string[];
  readonly line: number;
}

/** A use of something that is there without being imported: `console`, `Date.now`, `new Date()`. */
export interface GlobalUse {
  readonly name: string;
  readonly line: number;
}

export interface SourceFile {
  readonly imports: readonly Import[];
  readonly globals: readonly GlobalUse[];
}

/** @throws Error when the text is not TypeScript */
export function readSource(file: string, text: string): SourceFile {
  const { program, module, errors } = parseSync(file, text);
  const error = errors[0];
  if (error !== undefined) throw new Error(`${file}: ${error.message}`);
  const lineAt = (offset: number) => text.slice(0, offset).split("\n").length;

  const imports: Import[] = module.staticImports.map(({ moduleRequest, entries, start }) => ({
    specifier: moduleRequest.value,
    isValue: entries.length === 0 || entries.some((entry) => !entry.isType),
    names: entries.map((entry) => nameOf(entry.importName)),
    line: lineAt(start),
  }));
  for (const { entries, start } of module.staticExports) {
    for (const entry of entries) {
      if (entry.moduleRequest === null) continue;
      const names = [nameOf(entry.importName)];
      imports.push({ specifier: entry.moduleRequest.value, isValue: !entry.isType, names, line: lineAt(start) });
    }
  }
  for (const { moduleRequest, start } of module.dynamicImports) {
    const literal = /^(["'`])(.*)\1$/s.exec(text.slice(moduleRequest.start, moduleRequest.end));
    imports.push({ specifier: literal?.[2] ?? "", isValue: true, names: [], line: lineAt(start) });
  }
  return { imports, globals: globalsIn(program, lineAt) };
}

function nameOf({ kind, name }: { readonly kind: string; readonly name: string | null }): string {
  return name ?? (kind === "Default" ? "default" : "*");
}

function globalsIn(program: ReturnType<typeof parseSync>["program"], lineAt: (offset: number) => number) {
  const uses: GlobalUse[] = [];
  const use = (name: string, offset: number) => void uses.push({ name, line: lineAt(offset) });
  new Visitor({
    MemberExpression(node) {
      if (node.object.type !== "Identifier") return;
      if (!node.computed && node.property.type === "Identifier") {
        use(`${node.object.name}.${node.property.name}`, node.start);
      }
      use(node.object.name, node.start);
    },
    CallExpression(node) {
      if (node.callee.type === "Identifier") use(`${node.callee.name}()`, node.start);
    },
    NewExpression(node) {
      if (node.callee.type === "Identifier" && node.arguments.length === 0)
        use(`new ${node.callee.name}()`, node.start);
    },
  }).visit(program);
  return uses;
}
