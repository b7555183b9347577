/**
 * Where the published program keeps the code that V8 compiled, so that the next start need not do it again: below ~/.cache
 * (or XDG_CACHE_HOME), which everybody has for what may be lost. NODE_COMPILE_CACHE names another place, as for any program of
 * Node, and NODE_DISABLE_COMPILE_CACHE=1 none. Code from there is run as ours, so it must not be a place of another user's.
 */
import { mkdirSync, statSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import path from "node:path";

const { env } = process;

export function keepCompiledCode(): void {
  if (env["NODE_COMPILE_CACHE"] !== undefined || env["NODE_DISABLE_COMPILE_CACHE"] === "1") return;
  try {
    const directory = path.join(env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache"), "intercloud");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // `sudo` may leave us the home of somebody else
    if (process.getuid === undefined || statSync(directory).uid === process.getuid()) enableCompileCache(directory);
  } catch {
    // no home, or no room in it: a start takes a little longer
  }
}
