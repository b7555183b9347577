/** What a benchmark asks of the process that plays the user, and how it answers. */
import type { Route } from "../../protocols/rounds/descriptor.ts";

export type Task = TransferTask | RateTask;

export interface TransferTask {
  readonly action: "put" | "get" | "forward-put" | "forward-get";
  readonly route: Route;
  readonly lengthBytes: number;
  /** For `put`. */
  readonly file?: string;
  /** For `get`. */
  readonly token?: string;
}

/** Of one operation `deposit-batch`. */
export const BATCH_KEYS = 1_000;

/** Many small operations: deposits of a key or of a batch of keys, retrievals of what was deposited last, or the empty request-responses of either. */
export interface RateTask {
  readonly action:
    | "deposit-keys"
    | "deposit-batch"
    | "retrieve-keys"
    | "ask-as-deposit"
    | "ask-as-retrieve"
    | "hello"
    | "fill-stock";
  readonly count: number;
  /** How many at once; with `perSecond`, how many at most before the next ones are refused. */
  readonly inFlight: number;
  /** Started at this constant rate, whatever becomes of those before; as fast as they go by default. */
  readonly perSecond?: number;
}

export interface Operations {
  readonly seconds: number;
  readonly done: number;
  readonly failed: number;
  /** Of those that were done, in the order of their end. */
  readonly latenciesMs: readonly number[];
  /** Asks that the user made, per operation. */
  readonly asksPerOperation: number;
}

export type TaskResult =
  | { readonly seconds: number /** Of `put`. */; readonly token?: string }
  | Operations
  | { readonly failure: string };
