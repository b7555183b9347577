/**
 * `npm run build [-- DIR]`: makes the package that is published, in dist/ or in DIR. The library is JavaScript and declarations, file by
 * file; the program in bin/ is bundled with what it needs of other packages, because opening 600 files takes longer than most commands.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { rolldown } from "rolldown";

const ROOT = path.resolve(import.meta.dirname, "..");
const PACKAGES = path.join(ROOT, "node_modules");
/** The oldest Node that package.json admits. */
const OLDEST_NODE = "node22.18";
/** Loaded from their own packages: they are native, start threads from files of their own, or are CommonJS that daemons alone use. */
const NOT_BUNDLED = ["level", "pino", "prom-client"];

const target = path.resolve(process.argv[2] ?? path.join(ROOT, "dist"));
rmSync(target, { recursive: true, force: true });
buildLibrary();
await bundleProgram();
writePackage();

function buildLibrary(): void {
  const tsc = path.join(PACKAGES, "typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "--project", path.join(ROOT, "tsconfig.build.json"), "--outDir", target], {
    stdio: "inherit",
  });
}

/**
 * A file for what several commands need, and one for each command. CommonJS, which Node loads faster than modules, without line
 * ends, and with its names: what an error says of its place can be read, and is exact with the maps (INTERCLOUD_DEBUG=1).
 */
async function bundleProgram(): Promise<void> {
  const bin = path.join(target, "bin");
  const bundle = await rolldown({
    input: path.join(ROOT, "bin/main.ts"),
    platform: "node",
    external: NOT_BUNDLED,
    transform: { target: OLDEST_NODE },
    onLog(_level, log) {
      throw new Error(`the program cannot be bundled: ${log.message}`);
    },
  });
  const { output } = await bundle.write({
    ...{ dir: bin, format: "cjs", entryFileNames: "main.js", chunkFileNames: "[name]-[hash].js" },
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
    ...{ sourcemap: true, sourcemapExcludeSources: true, comments: { legal: false } },
    sourcemapPathTransform: (source, map) => path.relative(ROOT, path.resolve(path.dirname(map), source)),
  });
  await bundle.close();
  chmodSync(path.join(bin, "main.js"), 0o755);
  writeFileSync(path.join(bin, "package.json"), '{ "type": "commonjs" }\n');
  const bundled = output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : [])).map(packageOf);
  writeFileSync(path.join(bin, "LICENSES.txt"), licensesOf([...new Set(bundled)].filter((name) => name !== undefined)));
}

/** The folder of the package that a file is from; undefined for our own. */
function packageOf(file: string): string | undefined {
  return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}

/** Whoever hands on the code of others hands on their licences. */
function licensesOf(folders: string[]): string {
  const texts = folders.sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
    const said = files.sort().map((file) => readFileSync(path.join(folder, file), "utf8").trim());
    return [`${name} ${version} (${license})`, ...said].join("\n\n");
  });
  return `${texts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

function writePackage(): void {
  for (const file of ["README.md", "LICENSE"]) {
    if (existsSync(path.join(ROOT, file))) copyFileSync(path.join(ROOT, file), path.join(target, file));
  }
  const { name, version, description, license, type, engines, dependencies } = JSON.parse(
    readFileSync(path.join(ROOT, "package.json"), "utf8"),
  );
  const published = {
    name,
    version,
    description,
    license,
    type,
    engines,
    bin: { intercloud: "bin/main.js" },
    exports: { ".": { types: "./client/index.d.ts", default: "./client/index.js" } },
    dependencies, // a Node of its own is for clones only: who installs a package has chosen a Node
  };
  writeFileSync(path.join(target, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
}
