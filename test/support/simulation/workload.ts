/** What users do in a simulation, by the real client code, and what the history says about it. */
import { createHash } from "node:crypto";
import { equalBytes } from "../../../protocols/crypto/digest.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import {
  changeDeposit,
  deposit,
  destroy,
  grant,
  repairDeposit,
  retrieve,
  revoke,
} from "../../../protocols/custody/client/index.ts";
import { type Court, verifyEvidence } from "../../../protocols/custody/evidence.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { pause } from "../../../protocols/wire/pause.ts";
import type { Accused, Operation, Outcome } from "../../../testnet/checker/history.ts";
import type { Step, Story } from "./plan.ts";
import type { Random } from "./random.ts";
import type { SimulatedWorld } from "./world.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Open = Writable<Operation>;
/** What is known of an operation when it begins; `T` is distributed over the kinds. */
type Begun<T = Operation> = T extends Operation ? Omit<T, "id" | "startMs" | "endMs" | "outcome"> : never;

export interface Workload {
  readonly operations: Operation[];
  /** Token texts of the puts that were acknowledged, by the name of the story. */
  readonly tokens: ReadonlyMap<string, string>;
  /** Resolves when the story is over. */
  play(story: Story): Promise<void>;
  /** When everything has come to rest. */
  readLast(story: Story): Promise<void>;
  /** To be called when the process of a user was killed. */
  killed(who: string): void;
  /** Ids of the gets of a deposit that are under way. */
  getsUnderWay(tokenId: Uint8Array): number[];
  /** How many operations are under way. */
  underWay(): number;
}

export function createWorkload(world: SimulatedWorld, randomOf: (label: string) => Random): Workload {
  const { time, nameOf, dealer } = world;
  const operations: Operation[] = [];
  const tokens = new Map<string, string>();
  /** Of Protocol 2, by the deposit and the deal. */
  const userShares = new Map<string, Map<string, Uint8Array>>();
  const keepShare = (story: Story, dealId: Uint8Array, share: Uint8Array) => {
    const shares = userShares.get(story.name) ?? new Map<string, Uint8Array>();
    userShares.set(story.name, shares.set(hexOf(dealId), share.slice()));
  };
  const open = new Map<Open, { readonly who: string; readonly end: (outcome: Outcome) => void }>();
  const { signal } = new AbortController();
  const court: Court = {
    agreementKeyOf: world.agreementKeyOf,
    isDealer: (peer) => peer === dealer,
    ...{ keystream: aesKeystream, kernel: simdKernel },
  };

  /** @returns whether it ended well; undefined when its user was killed. */
  async function operate(begun: Begun, act: (operation: Open) => Promise<void>) {
    const operation = {
      ...begun,
      id: operations.length,
      startMs: time.nowMs(),
      endMs: undefined,
      outcome: undefined,
    } as Open;
    operations.push(operation);
    const ended = Promise.withResolvers<Outcome>();
    open.set(operation, { who: begun.who, end: ended.resolve });
    act(operation).then(
      () => ended.resolve({ ended: "well" }),
      (error: unknown) => ended.resolve(failureOf(error)),
    );
    const outcome = await ended.promise;
    open.delete(operation);
    operation.endMs = time.nowMs();
    operation.outcome = outcome;
    return outcome.ended;
  }

  function failureOf(error: unknown): Outcome {
    if (error instanceof IntercloudError) {
      const peers = (error.details.peers ?? []).map(nameOf);
      return { ended: "failed", code: error.code, status: error.status, peers };
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { ended: "failed", code: "BUG", status: text, peers: [] };
  }

  function messageOf({ name, lengthBytes }: Story): Uint8Array {
    return randomOf(`message ${name}`).bytes(lengthBytes);
  }

  const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

  async function put(story: Story): Promise<void> {
    const { name, protocol, route, providers, threshold, copies } = story;
    const message = messageOf(story);
    const source = {
      lengthBytes: message.length,
      async *open() {
        for (let start = 0; start < message.length; start += 65_536) yield message.slice(start, start + 65_536);
      },
    };
    const common = { deposit: name, who: "owner", message: digestOf(message), providers, threshold, copies };
    await operate({ kind: "put", ...common }, async () => {
      const user = world.user("owner");
      const { tokenText } = await deposit(user, {
        ...{ source, protocol, route, providers, threshold, copies, candidates: user.directory.providers },
        keepUserShare: async (_, dealId, share) => keepShare(story, dealId, share),
      });
      tokens.set(name, tokenText);
    });
  }

  async function get(
    story: Story,
    { who, kind, route = "fanout" }: { who: string; kind: "get" | "steal"; route?: Step["route"] },
    isLast = false,
  ) {
    const token = parseTokenText(tokens.get(story.name)!);
    const accused: Accused[] = [];
    const common = { kind, deposit: story.name, who, accused, ...(isLast && { isLast }) };
    await operate(common, async (operation) => {
      const { message } = await retrieve(world.user(who), {
        ...{ token, route },
        userShare: async (_, dealId) => userShares.get(story.name)?.get(hexOf(dealId))?.slice(),
        onWarning({ accusation }) {
          if (accusation !== undefined) accused.push(checked(accusation.accused, accusation.kind, accusation.evidence));
        },
      });
      const hash = createHash("sha256");
      for await (const bytes of message) hash.update(bytes);
      (operation as Writable<{ message?: string }>).message = hash.digest("hex");
    });
  }

  function checked(peer: string, kind: string, evidence: Uint8Array): Accused {
    try {
      const verdict = verifyEvidence(evidence, court);
      return { peer: nameOf(peer), kind, isProven: verdict.accused === peer };
    } catch {
      return { peer: nameOf(peer), kind, isProven: false };
    }
  }

  async function perform(story: Story, step: Step): Promise<void> {
    const { kind, who } = step;
    const token = parseTokenText(tokens.get(story.name)!);
    const common = { deposit: story.name, who };
    const user = () => world.user(who);
    if (kind === "get" || kind === "steal") return await get(story, { who, kind, route: step.route });
    if (kind === "grant" || kind === "revoke") {
      const expiresAtMs = step.expiresInMs === undefined ? null : time.nowMs() + step.expiresInMs;
      const options = { token, identity: world.identityOf("friend"), signal };
      const asked = { kind, deposit: story.name, who, reader: "friend", expiresAtMs: expiresAtMs ?? undefined };
      await operate(asked, async (operation) => {
        const { reached, needed } =
          kind === "revoke"
            ? await revoke(user(), options)
            : await grant(user(), { ...options, purposes: ["retrieve"], expiresAtMs });
        Object.assign(operation, { reached: reached.map(nameOf), needed });
      });
      return;
    }
    if (kind === "destroy") {
      await operate({ ...common, kind }, async (operation) => {
        const { destroyed, needed } = await destroy(user(), token, signal);
        const { roster, copies: keepers } = destroyed[0]!;
        const counted = story.protocol === 1 ? roster.slice(0, keepers) : roster;
        const receiptsFrom = destroyed.map(({ receipt }) => receipt.peer).filter((peer) => counted.includes(peer));
        Object.assign(operation, { receipts: receiptsFrom.length, needed, receiptsFrom: receiptsFrom.map(nameOf) });
        // as the client does: with them fewer providers would do
        userShares.delete(story.name);
      });
      return;
    }
    const { destination } = step;
    const { threshold = 0, copies = 0, candidates = [] } = destination ?? {};
    const shape = destination && { providers: candidates.length, threshold, copies };
    await operate({ ...common, kind, ...shape }, async (operation) => {
      if (kind === "repair") {
        const { providers } = await repairDeposit(user(), token, signal);
        const failure = providers.find(({ error }) => error !== undefined)?.error;
        const mended = providers.filter(({ repaired }) => repaired !== undefined).map(({ peer }) => nameOf(peer));
        Object.assign(operation, { mended });
        if (failure !== undefined) throw failure;
      } else {
        await changeDeposit(user(), {
          token,
          ...(destination && {
            destination: {
              ...shape!,
              candidates: candidates.map((i) => world.peers[i]!),
            },
          }),
          keepUserShare: async (_, { after }, share) => keepShare(story, after, share),
        });
      }
    });
  }

  return {
    operations,
    tokens,
    async play(story) {
      await pause(time, story.startMs, signal);
      await put(story);
      // Nothing was acknowledged: whatever is there of it must go.
      if (!tokens.has(story.name)) return;
      const beside: Promise<void>[] = [];
      for (const step of story.steps) {
        await pause(time, step.pauseMs, signal);
        const done = perform(story, step);
        if (step.isBeside) beside.push(done);
        else await done;
      }
      await Promise.all(beside);
    },
    async readLast(story) {
      if (tokens.has(story.name)) await get(story, { kind: "get", who: "owner" }, true);
    },
    killed(who) {
      for (const each of [...open.values()]) if (each.who === who) each.end({ ended: "killed" });
    },
    getsUnderWay(tokenId) {
      const [name] = [...tokens].find(([, text]) => equalBytes(parseTokenText(text).tokenId, tokenId)) ?? [];
      return [...open.keys()].filter(({ kind, deposit }) => kind === "get" && deposit === name).map(({ id }) => id);
    },
    underWay: () => open.size,
  };
}
