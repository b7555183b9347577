/**
 * Providers that die, freeze and come back while users deposit and retrieve: real processes, at most n-t of them away at a
 * time. What was acknowledged always comes back whole; an operation that fails says so with a code that is meant for it.
 * The faults follow a seed: CHAOS_SEED=... npm run test:chaos plays the same schedule again. CHAOS_SECONDS makes it longer.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Client, openClient, openHome } from "../../client/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { intercloud } from "../e2e/intercloud.ts";
import { bytesOf } from "../support/bytes.ts";

const SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 30);
const SEED = Number(process.env["CHAOS_SEED"] ?? randomBytes(4).readUInt32BE());
const GRACE_SECONDS = 90;
const [PROVIDERS, THRESHOLD] = [5, 3];
/** What an operation may end with when providers are away. */
const EXPECTED_CODES = new Set(["NOT_ENOUGH_PROVIDERS", "NO_DEAL", "NO_CIPHERTEXT", "NO_ENVELOPE"]);
const EXPECTED_STATUSES = new Set(["unreachable", "timeout", "cancelled", "busy"]);

let directory: string;
let client: Client;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  await testnet("up", "--providers", String(PROVIDERS), "--threshold", String(THRESHOLD));
  client = openClient({ home: await openHome(path.join(directory, "net", "client")) });
});

afterAll(async () => {
  await client?.close();
  await testnet("down");
  await rm(directory, { recursive: true, force: true });
});

async function testnet(command: string, ...args: string[]): Promise<void> {
  const { exitCode, stderr } = await intercloud(["testnet", command, ...args, "--dir", path.join(directory, "net")]);
  if (exitCode !== 0) throw new Error(`testnet ${command} ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
}

interface Kept {
  readonly tokenText: string;
  readonly message: Uint8Array;
}

test(
  `nothing acknowledged is lost and nothing wrong comes back (CHAOS_SEED=${SEED})`,
  async () => {
    const random = seededNumbers(SEED);
    const startedAtMs = Date.now();
    const kept: Kept[] = [];
    const seen = { faults: 0, readsWhileAway: 0, failures: 0 };
    const unexpected: unknown[] = [];
    let away = 0;
    /** A run in which nothing happened proves nothing: on a slow machine it goes on until enough has. */
    const enough = () => kept.length > 2 && seen.faults > 2 && seen.readsWhileAway > 2;
    const isOver = () => Date.now() - startedAtMs > (enough() ? SECONDS : SECONDS + GRACE_SECONDS) * 1000;

    const keepTrying = async (operation: () => Promise<void>): Promise<void> => {
      while (!isOver()) {
        try {
          await operation();
        } catch (error) {
          const known = error instanceof IntercloudError;
          if (known && (EXPECTED_CODES.has(error.code) || EXPECTED_STATUSES.has(error.status))) seen.failures += 1;
          else unexpected.push(error);
          await pause(200);
        }
      }
    };
    const deposits = keepTrying(async () => {
      const message = bytesOf(1 + (random() % 200_000), random());
      const route = random() % 2 === 0 ? "chain" : "fanout";
      const form = random() % 2 === 0 ? "whole" : "envelope";
      const { tokenText } = await client.deposit(message, { route, form, signal: AbortSignal.timeout(60_000) });
      kept.push({ tokenText, message });
    });
    const retrievals = keepTrying(async () => {
      const one = kept[random() % Math.max(1, kept.length)];
      if (one === undefined) return await pause(50);
      const awayBefore = away;
      expect(await read(one.tokenText)).toEqual(one.message);
      if (awayBefore > 0) seen.readsWhileAway += 1;
    });
    const faults = (async () => {
      while (!isOver()) {
        const first = random() % PROVIDERS;
        const victims = [first, (first + 1 + (random() % (PROVIDERS - 1))) % PROVIDERS]
          .slice(0, 1 + (random() % (PROVIDERS - THRESHOLD)))
          .map((index) => `provider-${index + 1}`);
        const [fault, mend] = random() % 3 === 0 ? (["pause", "resume"] as const) : (["kill", "start"] as const);
        await testnet(fault, ...victims);
        away = victims.length;
        seen.faults += victims.length;
        await pause(500 + (random() % 2_000));
        await testnet(mend, ...victims);
        away = 0;
        await pause(1_000 + (random() % 2_000));
      }
    })();
    await Promise.all([deposits, retrievals, faults]);

    expect(unexpected).toEqual([]);
    for (const { tokenText, message } of kept) expect(await read(tokenText)).toEqual(message);
    // a run in which nothing happened proves nothing
    expect(kept.length).toBeGreaterThan(2);
    expect(seen.faults).toBeGreaterThan(2);
    expect(seen.readsWhileAway).toBeGreaterThan(2);
  },
  (SECONDS + 120) * 1000,
);

async function read(tokenText: string): Promise<Uint8Array> {
  const { message } = await client.retrieve(tokenText, { signal: AbortSignal.timeout(60_000) });
  const parts: Uint8Array[] = [];
  for await (const part of message) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

/** xorshift32: the same schedule for the same seed. */
function seededNumbers(seed: number): () => number {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x;
  };
}

async function pause(delayMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, delayMs));
}
