/**
 * A 3-of-6 deal against what people use today for the same job: Debian's `gfsplit` (libgfshare, C) and the audited npm package
 * shamir-secret-sharing. Both sides make six full shares; CPU time is compared, ours with the randomness included.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { split } from "shamir-secret-sharing";
import { aesKeystream } from "../../protocols/crypto/keystream.ts";
import { createEvaluator, dealShares, stepBytesFor } from "../../protocols/dealing/deal.ts";
import { correctedPoints, freePoints, userPoint } from "../../protocols/dealing/points.ts";
import { simdKernel } from "../../protocols/field/index.ts";
import { unpackedFromDebian } from "./debian.ts";
import type { Row } from "./row.ts";

const THRESHOLD = 3;
const PROVIDERS = 6;
const DEAL_BYTES = 64 * 1024 * 1024;
/** The JavaScript library takes seconds for a megabyte; its time per byte does not depend on the length. */
const LIBRARY_BYTES = 256 * 1024;
const RUNS = 5;
const GFSPLIT_TARGET = 5;
const LIBRARY_TARGET = 500;

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));

export async function dealingBench(): Promise<Row[]> {
  const memory = Array.from({ length: PROVIDERS }, () => new Uint8Array(DEAL_BYTES).fill(1));
  const ours = mebibytesPerSecond(
    DEAL_BYTES,
    bestOf(RUNS, () => cpuSeconds(() => makeSixShares(memory))),
  );
  const asDealt = mebibytesPerSecond(
    DEAL_BYTES,
    bestOf(RUNS, () => cpuSeconds(makeDeal)),
  );
  const gfsplit = measureGfsplit();
  const library = mebibytesPerSecond(LIBRARY_BYTES, await librarySeconds());
  return [
    row("deal 3-of-6, six full shares of 64 MiB, against gfsplit", ours, gfsplit?.total ?? null, GFSPLIT_TARGET),
    row(
      "deal 3-of-6, six full shares of 64 MiB, against gfsplit without its input and output",
      ours,
      gfsplit?.user ?? null,
      null,
    ),
    row("deal 3-of-6, six full shares, against npm shamir-secret-sharing", ours, library, LIBRARY_TARGET),
    row(
      "deal 3-of-6 as it is handed out (seeds and masked corrections), against gfsplit",
      asDealt,
      gfsplit?.total ?? null,
      GFSPLIT_TARGET,
    ),
  ];
}

function row(name: string, value: number, against: number | null, target: number | null): Row {
  const ratio = against === null ? null : value / against;
  return {
    name,
    unit: "MiB of message per CPU second",
    value,
    against,
    ratio,
    target: target === null ? null : `>= ${target}x`,
    met: ratio === null || target === null ? null : ratio >= target,
  };
}

/**
 * All six providers' shares in full. The memory is there already, as it is in a dealer, which passes its shares on in small
 * buffers that it uses again. gfsplit is charged for its files in memory; a row of its own holds us against its user time alone.
 */
function makeSixShares(shares: readonly Uint8Array[]): void {
  const seeds = Array.from({ length: userPoint(PROVIDERS) }, () => entropy(32));
  const free = freePoints(THRESHOLD, PROVIDERS);
  const points = correctedPoints(THRESHOLD, PROVIDERS);
  const evaluate = createEvaluator({
    threshold: THRESHOLD,
    providers: PROVIDERS,
    seeds,
    points,
    keystream: aesKeystream,
    kernel: simdKernel,
  });
  const stepBytes = stepBytesFor(PROVIDERS);
  for (let at = 0; at < DEAL_BYTES; at += stepBytes) {
    const values = evaluate(points.map((point) => (shares[point - 1] as Uint8Array).subarray(at, at + stepBytes)));
    // The user's free share is the seventh: it is not counted against gfsplit's six.
    for (const [index, point] of free.entries()) shares[point - 1]?.set(values[index] as Uint8Array, at);
  }
}

/** What a dealer computes for one deal: every correction, masked by its own seed, and the secrets overwritten. */
function makeDeal(): void {
  const options = { threshold: THRESHOLD, providers: PROVIDERS, lengthBytes: DEAL_BYTES };
  const deal = dealShares({ ...options, entropy, keystream: aesKeystream, kernel: simdKernel });
  while (deal.step() !== undefined);
  deal.wipe();
}

async function librarySeconds(): Promise<number> {
  const secret = entropy(LIBRARY_BYTES);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 2; run++) {
    const before = process.cpuUsage();
    await split(secret, PROVIDERS, THRESHOLD);
    best = Math.min(best, secondsOf(process.cpuUsage(before)));
  }
  return best;
}

/** @returns MiB of message per second of CPU time and of user time, null (with a note on stderr) when gfsplit cannot be had. */
function measureGfsplit(): { readonly total: number; readonly user: number } | null {
  // Both sides write to memory: /dev/shm is one.
  const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const directory = mkdtempSync(path.join(memory, "intercloud-bench-"));
  try {
    const { command, env } = findGfsplit();
    const secret = path.join(directory, "secret");
    writeFileSync(secret, entropy(DEAL_BYTES));
    const script = 'TIMEFORMAT="%3U %3S"; time "$0" "$@"';
    const args = [
      "-c",
      script,
      command,
      "-n",
      `${THRESHOLD}`,
      "-m",
      `${PROVIDERS}`,
      secret,
      path.join(directory, "share"),
    ];
    const once = () => {
      for (const name of readdirSync(directory)) if (name !== "secret") rmSync(path.join(directory, name));
      // bash prints the times on stderr, after whatever the program says.
      const said = execFileSync("bash", ["-c", `{ ${script}; } 2>&1 >/dev/null`, ...args.slice(2)], {
        env,
        encoding: "utf8",
      });
      const [user, system] = (said.trim().split("\n").at(-1) ?? "").split(" ").map(Number);
      if (readdirSync(directory).length !== PROVIDERS + 1) throw new Error(`gfsplit did not make its shares: ${said}`);
      return { total: (user as number) + (system as number), user: user as number };
    };
    const runs = Array.from({ length: RUNS }, once);
    return {
      total: mebibytesPerSecond(DEAL_BYTES, Math.min(...runs.map(({ total }) => total))),
      user: mebibytesPerSecond(DEAL_BYTES, Math.min(...runs.map(({ user }) => user))),
    };
  } catch (error) {
    process.stderr.write(`gfsplit could not be measured: ${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The installed program, or Debian's packages unpacked below the clone without installing them. */
function findGfsplit(): { command: string; env: NodeJS.ProcessEnv } {
  for (const folder of (process.env["PATH"] ?? "").split(":")) {
    const command = path.join(folder, "gfsplit");
    if (existsSync(command)) return { command, env: process.env };
  }
  const { directory, env } = unpackedFromDebian("libgfshare", ["libgfshare-bin", "libgfshare2"]);
  return { command: path.join(directory, "usr/bin/gfsplit"), env };
}

function cpuSeconds(action: () => void): number {
  const before = process.cpuUsage();
  action();
  return secondsOf(process.cpuUsage(before));
}

function secondsOf({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}

function bestOf(runs: number, measure: () => number): number {
  return Math.min(...Array.from({ length: runs }, measure));
}

function mebibytesPerSecond(lengthBytes: number, seconds: number): number {
  return lengthBytes / 2 ** 20 / seconds;
}
