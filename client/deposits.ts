/** How a client deposits: in which form, by which protocol, and that its own share is kept. */
import { type Deposited, type DepositOptions, deposit, type MessageSource } from "../protocols/custody/client/index.ts";
import { MAX_SHORT_BYTES } from "../protocols/custody/constants.ts";
import { createGarbageCollector } from "../runtime/garbage.ts";
import type { ClientContext, ClientParts } from "./client.ts";
import type { DepositCallOptions, DepositPhase } from "./client-api.ts";
import { counting } from "./counting.ts";
import { depositPlan } from "./deposit-plan.ts";
import { bytesSource, type DepositSource, type OneShotSource } from "./sources.ts";
import { spool } from "./spool.ts";
import { createTurns, DEPOSIT_TURNS } from "./turns.ts";

type Kind = Pick<DepositOptions, "form" | "envelope">;

export interface Deposits {
  /** In an envelope or whole. */
  deposit(source: DepositSource, options: DepositCallOptions): Promise<Deposited>;
  /** What can be read twice, layered as it is. */
  repeatable(source: MessageSource, options: DepositCallOptions, signal: AbortSignal, kind?: Kind): Promise<Deposited>;
}

/** @param refill fetches deals ahead for messages of this length */
export function createDeposits(
  { directory, settings, shares, spoolDirectory, clock, entropy }: ClientParts,
  { user, userKey, signalOf }: ClientContext,
  refill: (lengthBytes: number, signal: AbortSignal) => void,
): Deposits {
  const turns = createTurns(clock, DEPOSIT_TURNS);

  async function repeatable(
    source: MessageSource,
    options: DepositCallOptions,
    signal: AbortSignal,
    kind: Pick<DepositOptions, "form" | "envelope"> = {},
  ): Promise<Deposited> {
    const plan = depositPlan(settings, options, directory);
    if (plan.protocol === 1) {
      const { sealMessage } = await import("../protocols/envelope/index.ts");
      const sealed = sealMessage(source, userKey().publicKey, entropy);
      try {
        return await depositLayered(sealed, options, signal, kind);
      } finally {
        sealed.wipe();
      }
    }
    return await depositLayered(source, options, signal, kind);
  }

  async function depositLayered(
    source: MessageSource,
    options: DepositCallOptions,
    signal: AbortSignal,
    kind: Pick<DepositOptions, "form" | "envelope">,
  ): Promise<Deposited> {
    const plan = depositPlan(settings, options, directory);
    const { onProgress } = options;
    let kept: readonly [tokenId: Uint8Array, dealId: Uint8Array] | undefined;
    const run = async () =>
      await deposit(await user(), {
        ...{ ...plan, ...kind, source: collecting(source), signal },
        ...(onProgress === undefined ? {} : { onProgress }),
        onDeal: () => refill(source.lengthBytes, signal),
        async keepUserShare(tokenId, dealId, share) {
          kept = [tokenId, dealId];
          await shares.keep(tokenId, dealId, share);
        },
      });
    // The key of an envelope waits for the envelope, however long that is.
    const isShort = source.lengthBytes <= MAX_SHORT_BYTES && kind.envelope === undefined;
    try {
      return isShort ? await turns.run(signal, run) : await run();
    } catch (error) {
      if (kept !== undefined) await shares.remove(...kept);
      throw error;
    }
  }

  async function depositEnvelope(
    source: AsyncIterable<Uint8Array>,
    totalBytes: number | undefined,
    options: DepositCallOptions,
  ): Promise<Deposited> {
    const { putEnvelope } = await import("./kept-envelopes.ts");
    const signal = signalOf(options);
    // of the key only what takes time for its own sake
    const onProgress = (progress: DepositPhase) => {
      if (progress.phase === "dealing" || progress.phase === "sealing") options.onProgress?.(progress);
    };
    const report = (doneBytes: number) => options.onProgress?.({ phase: "pouring", doneBytes, totalBytes });
    const counted = counting(source, report);
    return await putEnvelope(counted, {
      ...{ entropy, signal },
      deposit: (key, envelope) => repeatable(key, { ...options, onProgress }, signal, { envelope }),
    });
  }

  return {
    repeatable,
    async deposit(source, options) {
      const signal = signalOf(options);
      const plain = source instanceof Uint8Array ? bytesSource(source) : source;
      if ((options.form ?? "envelope") === "envelope") {
        return isRepeatable(plain)
          ? await depositEnvelope(plain.open(), plain.lengthBytes, options)
          : await depositEnvelope(plain, undefined, options);
      }
      if (isRepeatable(plain)) return await repeatable(plain, options, signal);
      depositPlan(settings, options, directory); // wrong numbers are said before a long pipe is read
      const report = (doneBytes: number) =>
        options.onProgress?.({ phase: "reading", doneBytes, totalBytes: undefined });
      const spooled = await spool(plain, { directory: spoolDirectory, entropy, signal, onProgress: report });
      try {
        return await repeatable(spooled, options, signal);
      } finally {
        await spooled[Symbol.asyncDispose]();
      }
    },
  };
}

function isRepeatable(source: MessageSource | OneShotSource): source is MessageSource {
  return "open" in source && "lengthBytes" in source;
}

/** The same source; what it leaves behind in memory is collected while it is read, which for its digest is long before it is sent. */
function collecting(source: MessageSource): MessageSource {
  return {
    lengthBytes: source.lengthBytes,
    async *open() {
      const passed = createGarbageCollector();
      for await (const chunk of source.open()) {
        passed(chunk.length);
        yield chunk;
      }
    },
  };
}
