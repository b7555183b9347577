/** Debian's programs, unpacked below .bench/ of the clone without installing them. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export interface Unpacked {
  /** What would be / if it were installed. */
  readonly directory: string;
  /** Ours, with which its programs are found and find their libraries. */
  readonly env: NodeJS.ProcessEnv;
}

/** @param name of the folder. Fetched at the first use. @throws when apt-get and dpkg are not there, or have no such packages. */
export function unpackedFromDebian(name: string, packages: readonly string[]): Unpacked {
  const directory = fileURLToPath(new URL(`../../.bench/${name}`, import.meta.url));
  if (!existsSync(directory)) {
    const unfinished = `${directory}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    try {
      fetchInto(unfinished, packages);
      renameSync(unfinished, directory);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  const programs = ["usr/bin", "usr/libexec"].map((folder) => path.join(directory, folder));
  const libraries = ["lib", "usr/lib"]
    .map((folder) => path.join(directory, folder))
    .filter((folder) => existsSync(folder));
  const folders = libraries.flatMap((folder) => [
    folder,
    ...readdirSync(folder).map((each) => path.join(folder, each)),
  ]);
  return {
    directory,
    env: {
      ...process.env,
      PATH: [...programs, process.env["PATH"]].join(":"),
      LD_LIBRARY_PATH: folders.join(":"),
    },
  };
}

function fetchInto(directory: string, packages: readonly string[]): void {
  const download = () => execFileSync("apt-get", ["download", ...packages], { cwd: directory, stdio: "pipe" });
  try {
    download();
  } catch {
    execFileSync("apt-get", ["update"], { stdio: "pipe" });
    download();
  }
  for (const file of readdirSync(directory).filter((each) => each.endsWith(".deb"))) {
    execFileSync("dpkg", ["-x", file, "."], { cwd: directory, stdio: "pipe" });
    rmSync(path.join(directory, file));
  }
}
