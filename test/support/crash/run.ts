/** One operation, one crash, and everything that has to be true afterwards. */
import { randomInt } from "node:crypto";
import { digestOf } from "../../../protocols/crypto/digest.ts";
import type { Destruction } from "../../../protocols/custody/client/index.ts";
import { ASK_TIMEOUT_MS, CHANGE_LIFETIME_MS } from "../../../protocols/custody/constants.ts";
import { DEAL_LIFETIME_MS } from "../../../protocols/dealing/index.ts";
import { CLOCK_SKEW_MS } from "../../../protocols/identity/index.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { problemsAfterDestroy, problemsAtOnce, problemsAtRest, problemsOfLogs } from "./invariants.ts";
import { type Command, listed, type Operation, preparing, read, type Scene, WIPED } from "./operations.ts";
import { type CrashPoint, describePoint } from "./points.ts";
import {
  createCrashWorld,
  createFederation,
  type Federation,
  type Outcome,
  type Snapshot,
  type Substitutes,
} from "./world.ts";

/** An operation with all that was there before it, made once for all its crashes. */
export interface Bench {
  readonly operation: Operation;
  readonly federation: Federation;
  readonly from: Snapshot;
  readonly tokenText: string | undefined;
  readonly substitutes: Substitutes | undefined;
  /** Where it can be interrupted. */
  readonly points: readonly CrashPoint[];
}

export interface Crash {
  readonly point: CrashPoint;
  /** What was killed is started again while the others go on. */
  readonly restartsAtOnce: boolean;
  /** What it had sent still comes; otherwise it is cut off in that moment. */
  readonly isHeardOut: boolean;
  /** The user gives the command again before any time has passed. */
  readonly retriesAtOnce: boolean;
}

export function describeCrash({ point, restartsAtOnce, isHeardOut, retriesAtOnce }: Crash): string {
  const restarted = restartsAtOnce ? "restarted at once" : "restarted later";
  const how = isUser(point) ? (isHeardOut ? "heard out" : "cut off") : restarted;
  return `${describePoint(point)} (${how}, ${retriesAtOnce ? "retried at once" : "retried later"})`;
}

function isUser({ process }: CrashPoint): boolean {
  return process.startsWith("user");
}

export async function createBench(operation: Operation, substitutes?: Substitutes): Promise<Bench> {
  const federation = createFederation(operation.providers);
  const world = await createCrashWorld({ federation });
  let tokenText: string | undefined;
  for (const command of preparing(operation)) {
    const scene = { world, federation, message: operation.message, tokenText };
    const result = await world.finish(command.begin(scene, "before").run);
    if (command.effect === "puts") tokenText = result as string;
  }
  if (operation.before.includes("wipe")) {
    world.disks[WIPED - 1]!.records.clear();
    world.disks[WIPED - 1]!.files.clear();
    world.disks[WIPED - 1]!.events.length = 0;
  }
  const from = world.snapshot();
  const dry = await createCrashWorld({ federation, from, substitutes });
  await runCommands({ world: dry, federation, message: operation.message, tokenText }, operation);
  return { operation, federation, from, tokenText, substitutes, points: dry.control.passed };
}

async function runCommands(scene: Scene, { commands }: Operation): Promise<Outcome[]> {
  const { control } = scene.world;
  const actions = commands.map((command, i) => command.begin(scene, `user ${i + 1}`));
  control.watch();
  const outcomes = await scene.world.run(actions);
  control.stop();
  return outcomes;
}

/** @returns what is not as it should be. */
export async function problemsOfCrash(bench: Bench, crash: Crash | undefined): Promise<string[]> {
  const { operation, federation, from, tokenText, substitutes } = bench;
  const { message } = operation;
  const world = await createCrashWorld({
    ...{ federation, from, substitutes, plan: crash?.point, restartsAtOnce: crash?.restartsAtOnce === true },
    isHeardOut: crash?.isHeardOut === true,
  });
  const scene = { world, federation, message, tokenText };
  const problems: string[] = [];
  const note = (found: readonly string[]) => void problems.push(...found.filter((each) => !problems.includes(each)));
  const tokens = new Set(tokenText === undefined ? [] : [tokenText]);
  let destroyed = false;

  /** Which may have happened or not. */
  const learn = (i: number, outcome: Outcome | undefined, isRetry: boolean) => {
    const command = operation.commands[i]!;
    if (outcome === undefined) return;
    if ("error" in outcome) {
      const { error } = outcome;
      if (!(error instanceof IntercloudError)) note([`${command.name} ended with ${String(error)}`]);
      else if (isRetry && !(mayBeGone(command) && isGone(error)))
        note([`${command.name}, given again: ${error.code} ${error.message}`]);
    }
    if (!("value" in outcome)) return;
    if (command.effect === "puts") for (const token of [outcome.value as string | string[]].flat()) tokens.add(token);
    if (command.effect !== "destroys") return;
    const { destroyed: receipts, needed } = outcome.value as Destruction;
    if (receipts.length >= needed) destroyed = true;
  };
  const again = async () => {
    for (const [i, command] of operation.commands.entries()) {
      const [outcome] = await world.run([command.begin(scene, "later")]);
      learn(i, outcome, true);
    }
  };
  const readAll = async (when: string) => {
    for (const token of tokens) {
      const user = world.client("reader");
      const [outcome] = await world.run([{ life: undefined, run: () => read(world, user, token) }]);
      if (outcome === undefined) continue;
      if ("value" in outcome) {
        if (destroyed) note([`it can be read although it was destroyed (${when})`]);
        else if (Buffer.compare(outcome.value as Uint8Array, message) !== 0) note([`other bytes come back (${when})`]);
      } else if ("error" in outcome && !destroyed && !mayBeDestroyed()) {
        note([`it cannot be read (${when}): ${String(outcome.error)}`]);
      }
    }
  };
  /** Nobody may have seen the receipts of a destroy whose client was killed. */
  const mayBeGone = ({ effect }: Command) => destroyed || (effect !== "destroys" && mayBeDestroyed());
  const mayBeDestroyed = () => operation.commands.some(({ effect }) => effect === "destroys");

  try {
    for (const [i, outcome] of (await runCommands(scene, operation)).entries()) learn(i, outcome, false);
    if (crash !== undefined && !world.control.killed) return ["the point was not reached"];
    note(await problemsAtOnce(world));
    await world.restartAll();
    note(await problemsAtOnce(world));
    await readAll("after the crash");
    if (crash?.retriesAtOnce === true) await again();
    note(await problemsAtOnce(world));
    await world.pass(CHANGE_LIFETIME_MS + 4 * CLOCK_SKEW_MS);
    await readAll("a while later");
    await world.pass(DEAL_LIFETIME_MS + 4 * CLOCK_SKEW_MS + ASK_TIMEOUT_MS);
    for (const token of await world.finish(() => listed(world.client("reader")))) tokens.add(token);
    await readAll("a day later");
    // What is lost comes back, and who missed that it was destroyed hears of it, when the command is given again.
    const needsCommand = mayBeDestroyed() || operation.before.includes("wipe") || operation.forks === true;
    if (!needsCommand || (crash?.retriesAtOnce === true && (destroyed || !mayBeDestroyed()))) note(await atRest());
    await again();
    for (const token of await world.finish(() => listed(world.client("reader")))) tokens.add(token);
    await world.pass(CHANGE_LIFETIME_MS + 4 * CLOCK_SKEW_MS);
    await world.rebootAll();
    await readAll("in the end");
    note(await atRest());
    for (const { check } of operation.commands) if (check !== undefined) note(await check(scene));
    if (mayBeDestroyed() && !destroyed) note(["it could not be destroyed"]);
    note(problemsOfLogs(world));
    if (world.faults.length > 0) note(world.faults.map((fault) => `a fault: ${String(fault)}`));
  } catch (error) {
    note([error instanceof Error ? (error.stack ?? error.message) : String(error)]);
  }
  return problems;

  async function atRest(): Promise<string[]> {
    return destroyed ? await problemsAfterDestroy(world, tokenText!) : await problemsAtRest(world, [...tokens]);
  }
}

function isGone({ code }: IntercloudError): boolean {
  return code === "DESTROYED" || code === "NO_SUCH_DEPOSIT" || code === "NOT_ENOUGH_PROVIDERS";
}

/** All crashes of an operation. A client is never started again by itself, so that it may be heard out or not either way. */
export function crashesOf({ points }: Bench): Crash[] {
  const both = [true, false];
  const ways = both.flatMap((first) => both.map((retriesAtOnce) => ({ first, retriesAtOnce })));
  return points.flatMap((point) =>
    ways.map(({ first, retriesAtOnce }) => ({
      ...{ point, retriesAtOnce, isHeardOut: !first },
      restartsAtOnce: first && !isUser(point),
    })),
  );
}

export function newSeed(): number {
  return randomInt(2 ** 31);
}

/** That many, in an order that the seed decides. */
export function sample<T>(values: readonly T[], count: number, seed: number): T[] {
  const drawn = values.map((value, i) => ({
    value,
    lot: digestOf("intercloud/test/lot", Buffer.from(`${seed} ${i}`)),
  }));
  return drawn
    .sort((a, b) => Buffer.compare(a.lot, b.lot))
    .slice(0, count)
    .map(({ value }) => value);
}

/** What it is called, and the command that shows it again. */
export function reportOf({ name }: Operation, crash: Crash | undefined): string {
  if (crash === undefined) return `${name}, undisturbed`;
  const text = describeCrash(crash);
  return `${name}, ${text}\n  scripts/crash-points --operation '${name}' --crash '${text}'`;
}
