/** The SDK: deposits and retrieves as streams. Everything takes an AbortSignal; nothing is kept when it fails. */
import type {
  Changed,
  ChangePhase,
  Deposited,
  DepositProgress,
  GrantsChanged,
  Listing,
  RepairReport,
  Retrieval,
  RetrieveProgress,
  RetrieveWarning,
} from "../protocols/custody/client/index.ts";
import type { Grant, GrantPurpose, GrantTerms } from "../protocols/custody/grants.ts";
import type { Identity } from "../protocols/identity/index.ts";
import type { Route } from "../protocols/rounds/descriptor.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import type { DepositedOne } from "./batch.ts";
import type { ClientStock } from "./client-stock.ts";
import type { DepositChoice, MoveChoice } from "./deposit-plan.ts";
import type { Decrypted, Encrypted } from "./envelopes.ts";
import type { Members, ProofReport } from "./proof-report.ts";
import type { ReceiptsReport } from "./receipts-report.ts";
import type { DepositSource } from "./sources.ts";

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface DepositCallOptions extends CallOptions, DepositChoice {
  /**
   * `envelope`, the default: the message is encrypted into a file that home and the other keepers keep, and the providers share the
   * key of it. `whole`: they share the message itself; it is read twice, and a one-shot source is kept in a spool file meanwhile.
   */
  readonly form?: "envelope" | "whole" | undefined;
  readonly onProgress?: (progress: DepositPhase) => void;
}

export interface BatchCallOptions extends CallOptions, DepositChoice {
  /** What exists, as it comes to be: also when the rest fails after that. */
  readonly onDeposited?: (index: number, deposited: DepositedOne) => void;
}

/** `reading` comes first when a one-shot source is deposited whole. The length of a one-shot source is not known. */
export type DepositPhase =
  | DepositProgress
  | { readonly phase: "reading" | "pouring"; readonly doneBytes: number; readonly totalBytes: number | undefined };

export interface RetrieveCallOptions extends CallOptions {
  /** Default `fanout`, which is faster; the result is the same. */
  readonly route?: Route | undefined;
  readonly onProgress?: (progress: RetrieveProgress) => void;
  readonly onWarning?: (warning: RetrieveWarning) => void;
}

export interface ChangeCallOptions extends CallOptions, Pick<DepositChoice, "dealer"> {
  readonly onPhase?: ((phase: ChangePhase) => void) | undefined;
}

export type EncryptCallOptions = Omit<DepositCallOptions, "onProgress" | "form">;

export interface DecryptCallOptions extends Omit<RetrieveCallOptions, "onProgress" | "onWarning"> {
  /** @param tokenText of the deposit that the file names */
  readonly onWarning?: (warning: RetrieveWarning, tokenText: string) => void;
}

/** How a provider of a deposit is just now. */
export interface ProviderState {
  readonly name: string;
  readonly peer: PeerName;
  /** Whether it answered and has its share. */
  readonly answers: boolean;
  /** Whether it answered and has the ciphertext. */
  readonly holdsCiphertext: boolean;
  /** Whether it answered and has the envelope; false also when there is none. */
  readonly holdsEnvelope: boolean;
  /** When the owner had it destroyed there, as its receipt says; only the owner is told. */
  readonly destroyedAtMs: number | null;
}

export interface Shown {
  readonly report: ProofReport;
  /** What `verify` and `trace` check offline; worth keeping. */
  readonly proof: Uint8Array;
  readonly providers: readonly ProviderState[];
  /** Whom the deposit is granted to, by the newest list that a provider has; null when we are not the owner. */
  readonly grants: readonly Grant[] | null;
  /** What the owner lets us do; null when we are the owner. */
  readonly grant: GrantTerms | null;
}

export interface GrantCallOptions extends CallOptions {
  /** Default: both. */
  readonly purposes?: readonly GrantPurpose[];
  /** Default: until it is revoked. */
  readonly expiresAtMs?: number | null;
}

export interface Destroyed {
  /** Which providers did it, and whether they are enough. */
  readonly report: ReceiptsReport;
  /** The signed receipts, which `reportReceipts` checks offline; worth keeping. */
  readonly receipts: Uint8Array;
}

export interface Client extends AsyncDisposable {
  readonly identity: Identity;
  readonly members: Members;
  /** Deals that are fetched ahead, for the keys of `deposit` and `encrypt`. */
  readonly stock: ClientStock;
  /**
   * A message of any length, from 0 bytes on; whole, from 1 byte on. Chunks of `source` are kept for a while, so their memory must not
   * be used again. @throws IntercloudError NOT_ENOUGH_PROVIDERS, NO_DEAL, PROVIDERS_FULL, EMPTY_MESSAGE, WRONG_NUMBERS ...; nothing is kept then.
   */
  deposit(source: DepositSource, options?: DepositCallOptions): Promise<Deposited>;
  /**
   * Deposits many messages, each with a token of its own. Those of 1 byte to 64 KiB go together, whole, by Protocol 3 and the fanout route:
   * all of them exist at the end or none. Longer ones, and those of unknown length, follow one by one, in envelopes.
   * @returns in the order of `sources`. @throws IntercloudError as `deposit` does; WRONG_FORM, LOT_TOO_LARGE.
   */
  depositAll(sources: readonly DepositSource[], options?: BatchCallOptions): Promise<readonly DepositedOne[]>;
  /**
   * A deposit of either form. @throws IntercloudError BAD_TOKEN, NO_SUCH_DEPOSIT, NOT_THE_OWNER, NOT_ENOUGH_PROVIDERS, FILE_ELSEWHERE;
   * the message may throw WRONG_BYTES, WRONG_DEAL, NO_ENVELOPE.
   */
  retrieve(tokenText: string, options?: RetrieveCallOptions): Promise<Retrieval>;
  /**
   * Deposits a fresh key, and encrypts `source` with it into an age file, which is the caller's to keep. `source` may be empty or
   * endless; its chunks are kept for a while, so their memory must not be used again. When the file is not read to its end the
   * providers forget the key again. @throws IntercloudError as `deposit` does.
   */
  encrypt(source: AsyncIterable<Uint8Array>, options?: EncryptCallOptions): Promise<Encrypted>;
  /**
   * Decrypts what `encrypt` made. @throws IntercloudError NOT_AN_AGE_FILE, NOT_OUR_FILE, HEADER_DAMAGED, HEADER_FORGED,
   * WRONG_ENVELOPE_KEY, NO_ENVELOPE_KEY, and what `retrieve` throws; the message may throw FILE_DAMAGED.
   */
  decrypt(file: AsyncIterable<Uint8Array>, options?: DecryptCallOptions): Promise<Decrypted>;
  /** A fresh deal at the same providers: shares that leaked before are worth nothing afterwards. @throws as `changeDeposit`. */
  refresh(tokenText: string, options?: ChangeCallOptions): Promise<Changed>;
  /** To other providers, or another n and t. @throws as `changeDeposit`; WRONG_NUMBERS, UNKNOWN_PROVIDER_NAME. */
  move(tokenText: string, choice: MoveChoice, options?: ChangeCallOptions): Promise<Changed>;
  /** Has every provider look at what it has of the deposit and make good what it lost. */
  repair(tokenText: string, options?: CallOptions): Promise<RepairReport>;
  list(options?: CallOptions): Promise<Listing>;
  show(tokenText: string, options?: CallOptions): Promise<Shown>;
  /** A proof from `deposit` or `show` is checked offline, for a token the proof is fetched first. A broken chain is reported, not thrown. */
  verify(proofOrToken: Uint8Array | string, options?: CallOptions): Promise<ProofReport>;
  /**
   * Lets another identity read a deposit of ours. Rejects when fewer than t providers took the grant; those that missed it get it at
   * the next `grant`, `revoke` or `show`.
   * @throws IntercloudError BAD_IDENTITY, GRANT_TO_SELF, EXPIRY_PAST, NOT_GRANTABLE, NOT_THE_OWNER, NOT_ENOUGH_PROVIDERS ...
   */
  grant(tokenText: string, identity: Identity, options?: GrantCallOptions): Promise<GrantsChanged>;
  /** The same, when fewer than n-t+1 took it. @throws IntercloudError NO_SUCH_GRANT, NOT_THE_OWNER, NOT_ENOUGH_PROVIDERS ... */
  revoke(tokenText: string, identity: Identity, options?: CallOptions): Promise<GrantsChanged>;
  /**
   * Has the providers destroy a deposit of ours, and removes our own share of it. Resolves when one of them did at least: the
   * report says whether they are enough. To be called again when others are up.
   * @throws IntercloudError NO_SUCH_DEPOSIT, NOT_THE_OWNER, NOT_ENOUGH_PROVIDERS; nothing is destroyed then.
   */
  destroy(tokenText: string, options?: CallOptions): Promise<Destroyed>;
  close(): Promise<void>;
}
