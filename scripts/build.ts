/** `npm run build [-- DIR]`: makes the package that is published, in dist/ or in DIR: JavaScript, declarations, package.json. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "..");
const target = path.resolve(process.argv[2] ?? path.join(ROOT, "dist"));

rmSync(target, { recursive: true, force: true });
const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
execFileSync(process.execPath, [tsc, "--project", path.join(ROOT, "tsconfig.build.json"), "--outDir", target], {
  stdio: "inherit",
});
chmodSync(path.join(target, "bin/main.js"), 0o755);
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
