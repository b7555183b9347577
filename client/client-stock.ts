/** The stock of deals as a client has it: for envelope keys, of the size that its settings ask for. Filled by hand, and behind deposits. */
import type { Entropy } from "../protocols/crypto/entropy.ts";
import { newAgreementKey } from "../protocols/crypto/key-agreement.ts";
import {
  type CustodyUser,
  type Directory,
  dropStock,
  fillStock,
  fittingDeals,
  type StockTerms,
} from "../protocols/custody/client/index.ts";
import { providersOf } from "../protocols/dealing/manifest.ts";
import type { DealStock } from "../protocols/dealing/stock.ts";
import { ENVELOPE_KEY_BYTES } from "../protocols/envelope/constants.ts";
import { layeredBytes } from "../protocols/tokens/message.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { type DepositSettings, depositPlan } from "./deposit-plan.ts";

/** A refill that is still under way when the client is closed gets this long: what dealers that are up need for a few deals. */
const REFILL_GRACE_MS = 300;

/** One deal in stock. */
export interface StockLine {
  readonly dealId: string;
  /** What the federation calls them. */
  readonly dealer: string;
  readonly providers: readonly string[];
  readonly threshold: number;
  readonly expiresAtMs: number;
  /** Whether a deposit as the settings of this client say would take it. */
  readonly fits: boolean;
}

/** What a program sees of it. */
export interface ClientStock {
  /** How many deals are to be kept; 0: there is no stock. */
  readonly size: number;
  /**
   * Fetches what is missing. @returns how many were fetched.
   * @throws IntercloudError NO_STOCK, HOME_AWAY, NOT_ENOUGH_PROVIDERS, NO_DEAL, DEALS_TOO_SHORT; what was fetched before stays.
   */
  fill(options?: { readonly signal?: AbortSignal | undefined }): Promise<number>;
  list(): Promise<readonly StockLine[]>;
  /** Throws all away; providers that can be reached are told. @returns how many there were. */
  drop(): Promise<number>;
}

export interface ClientStockParts {
  readonly stock?: DealStock | undefined;
  readonly settings: DepositSettings;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly user: () => Promise<CustodyUser>;
  /** Aborted when the client is closed. */
  readonly over: AbortSignal;
}

export function createClientStock(parts: ClientStockParts) {
  const { stock, settings, directory, clock, entropy, user, over } = parts;
  const size = stock?.size ?? 0;
  let refilling: { readonly done: Promise<unknown>; stop(): void } | undefined;

  /** What `encrypt` needs when it is told nothing. */
  async function terms(): Promise<StockTerms> {
    const plan = depositPlan(settings, {}, directory);
    const keyBytes = plan.protocol === 1 ? await sealedKeyBytes(entropy) : ENVELOPE_KEY_BYTES;
    return { ...plan, lengthBytes: layeredBytes(keyBytes) };
  }

  async function fill(signal: AbortSignal): Promise<number> {
    const wanted = await terms();
    if (size === 0 || wanted.dealer === "self") throw noStock(size);
    return await fillStock(await user(), wanted, AbortSignal.any([signal, over]));
  }

  const asSeen: ClientStock = {
    size,
    fill: ({ signal } = {}) => fill(signal ?? over),
    async list() {
      const all = (await stock?.deals()) ?? [];
      const asking = { directory, stock };
      const fitting = new Set((await fittingDeals(asking, await terms())).map(({ manifest }) => hex(manifest.dealId)));
      return all.map(({ manifest }) => ({
        ...{ dealId: hex(manifest.dealId), dealer: directory.nameOf(manifest.dealer) },
        ...{ providers: providersOf(manifest).map(directory.nameOf), threshold: manifest.threshold },
        ...{ expiresAtMs: manifest.expiresAtMs, fits: fitting.has(hex(manifest.dealId)) },
      }));
    },
    async drop() {
      refilling?.stop();
      await refilling?.done;
      return await dropStock(await user());
    },
  };
  return {
    asSeen,
    /**
     * Begins to fill it behind a deposit of so many bytes that may have taken a deal of it, when half of it is used. That it could not be
     * filled is no error: the next deposit tries again.
     */
    refill(lengthBytes: number, signal: AbortSignal): void {
      if (size === 0 || refilling !== undefined) return;
      const stopping = new AbortController();
      const done = terms()
        .then(async (wanted) => {
          const took = wanted.lengthBytes === layeredBytes(lengthBytes);
          const left = took ? (await fittingDeals({ directory, stock }, wanted)).length : size;
          if (left <= size / 2) await fill(AbortSignal.any([signal, stopping.signal]));
        })
        .catch(() => {})
        .finally(() => {
          refilling = undefined;
        });
      refilling = { done, stop: () => stopping.abort() };
    },
    /** Waits a little for the refill. */
    async end(): Promise<void> {
      if (refilling === undefined) return;
      const cancel = clock.after(REFILL_GRACE_MS, refilling.stop);
      await refilling.done;
      cancel();
    },
  };
}

/** With Protocol 1 the key is sealed to the owner before it is layered; how long that makes it does not depend on either. */
async function sealedKeyBytes(entropy: Entropy): Promise<number> {
  const { sealMessage } = await import("../protocols/envelope/index.ts");
  const key = { lengthBytes: ENVELOPE_KEY_BYTES, open: () => (async function* () {})() };
  const sealed = sealMessage(key, newAgreementKey(entropy).publicKey, entropy);
  sealed.wipe();
  return sealed.lengthBytes;
}

function noStock(size: number): IntercloudError {
  const why = size === 0 ? "this client keeps no deals in stock" : "this client deals for itself";
  return new IntercloudError("NO_STOCK", "bad-request", `${why}; see "stock" and "dealer" in config.json of the home`);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
