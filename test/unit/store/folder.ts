/** Folders and damage for the tests of the store. */
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import { type OpenStore, openStore, type StoreOptions } from "../../../node/store/index.ts";
import type { Change } from "../../../protocols/storage/index.ts";
import { AUDIT } from "../../support/audit-log.ts";

export const KEY = new Uint8Array(32).fill(7);

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const put = (key: string, value: string | Uint8Array): Change => ({
  kind: "put",
  key,
  value: typeof value === "string" ? text(value) : value,
});
export const del = (key: string): Change => ({ kind: "delete", key });

const made: string[] = [];

export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "intercloud-"));
  made.push(folder);
  return folder;
}

export async function removeFolders(): Promise<void> {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
}

export const open = (directory: string, options: Partial<StoreOptions> = {}): Promise<OpenStore> =>
  openStore({ directory, key: KEY, audit: AUDIT, ...options });

/** What the store holds, as strings, in the order in which it yields them. */
export async function contents(store: OpenStore, prefix = ""): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const [key, value] of store.entries(prefix)) found.push([key, Buffer.from(value).toString()]);
  return found;
}

/** Opens, commits each list of changes on its own, closes. */
export async function fill(directory: string, commits: readonly (readonly Change[])[]): Promise<void> {
  const store = await open(directory);
  for (const changes of commits) await store.commit(changes);
  await store.close();
}

/** Works on the database behind the store's back. */
export async function withLevel<T>(
  directory: string,
  action: (level: Level<string, Uint8Array>) => Promise<T>,
): Promise<T> {
  const level = new Level<string, Uint8Array>(join(directory, "records"), {
    valueEncoding: "view",
    compression: false,
  });
  await level.open();
  try {
    return await action(level);
  } finally {
    await level.close();
  }
}

export async function filesOf(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(directory, { recursive: true })) {
    if ((await stat(join(directory, name))).isFile()) found.push(name);
  }
  return found.sort();
}

/** The largest file of the database whose name ends in `suffix`. */
export async function largest(directory: string, suffix: string): Promise<string> {
  const paths = (await filesOf(directory)).filter((name) => name.endsWith(suffix)).map((name) => join(directory, name));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  const path = paths[sizes.indexOf(Math.max(...sizes))];
  if (path === undefined) throw new Error(`no ${suffix} in ${directory}`);
  return path;
}

export async function flipBit(path: string, position: number, bit = 0): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(position) ^ (1 << bit), position);
  await writeFile(path, bytes);
}

/** Puts a copy of a file or folder in the place of another. */
export async function replace(target: string, source: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await cp(source, target, { recursive: true });
}

export async function anyFileHolds(directory: string, bytes: Uint8Array): Promise<boolean> {
  for (const name of await filesOf(directory)) {
    if ((await readFile(join(directory, name))).includes(bytes)) return true;
  }
  return false;
}
