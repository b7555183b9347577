/** The SDK: deposits and retrieves as streams. Everything takes an AbortSignal; nothing is kept when it fails. */
import type { Entropy } from "../protocols/crypto/entropy.ts";
import type { AgreementKey } from "../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../protocols/crypto/keystream.ts";
import type { Signer } from "../protocols/crypto/signing.ts";
import { createHedges } from "../protocols/custody/client/hedges.ts";
import {
  abandonDeposit,
  askStanding,
  type Changed,
  type ChangePhase,
  type CustodyUser,
  type Deposited,
  type DepositOptions,
  type DepositProgress,
  type Directory,
  deposit,
  depositLot,
  destroy,
  findProof,
  type GrantsChanged,
  grant,
  type Listing,
  listDeposits,
  type MessageSource,
  type RepairReport,
  type Retrieval,
  type Retrieved,
  type RetrieveProgress,
  type RetrieveWarning,
  repairDeposit,
  repairGrants,
  retrieve,
  revoke,
} from "../protocols/custody/client/index.ts";
import { surveyReady } from "../protocols/custody/client/ready-survey.ts";
import { ASK_TIMEOUT_MS, MAX_SHORT_BYTES } from "../protocols/custody/constants.ts";
import { GRANT_PURPOSES, type Grant, type GrantPurpose, type GrantTerms } from "../protocols/custody/grants.ts";
import { siteOf } from "../protocols/custody/placement.ts";
import type { DealStock } from "../protocols/dealing/stock.ts";
import { type Identity, identityOfKey } from "../protocols/identity/index.ts";
import { userKeyOf } from "../protocols/identity/user-key.ts";
import type { Route } from "../protocols/rounds/descriptor.ts";
import type { Token } from "../protocols/tokens/token.ts";
import { parseTokenText, type TokenText } from "../protocols/tokens/token-text.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { PeerName, Transport } from "../protocols/wire/transport.ts";
import { createGarbageCollector } from "../runtime/garbage.ts";
import type { DepositedOne } from "./batch.ts";
import { change } from "./change.ts";
import { type ClientStock, createClientStock } from "./client-stock.ts";
import { counting } from "./counting.ts";
import {
  type DepositChoice,
  type DepositSettings,
  dealerChoice,
  depositPlan,
  destinationOf,
  type MoveChoice,
} from "./deposit-plan.ts";
import type { Decrypted, Encrypted } from "./envelopes.ts";
import { type Members, type ProofReport, reportCheckedProof, reportProof } from "./proof-report.ts";
import { type ReceiptsReport, reportReceipts } from "./receipts-report.ts";
import { renewedSessions } from "./session.ts";
import type { ShareStore } from "./shares.ts";
import { bytesSource, type DepositSource, type OneShotSource } from "./sources.ts";
import { spool } from "./spool.ts";
import { createTurns, DEPOSIT_TURNS, RETRIEVAL_TURNS } from "./turns.ts";

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

/** What a client is made of; `openClient` puts it together for a real one. */
export interface ClientParts {
  readonly identityKey: Signer;
  readonly directory: Directory;
  /** Connects when it is first needed, so that a client is made in no time. */
  connect(): Promise<Transport>;
  readonly settings: DepositSettings;
  readonly shares: ShareStore;
  /** Where deals that are fetched ahead are kept; none are without it. */
  readonly stock?: DealStock | undefined;
  /** Where one-shot sources are kept until they are sent. */
  readonly spoolDirectory: string;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

export function createClient(parts: ClientParts): Client {
  const { identityKey, directory, settings, shares, spoolDirectory, clock, entropy } = parts;
  const session = renewedSessions(identityKey, clock, entropy);
  const over = new AbortController();
  const hedges = createHedges(clock);
  const [deposits, retrievals] = [createTurns(clock, DEPOSIT_TURNS), createTurns(clock, RETRIEVAL_TURNS)];
  let ownKey: AgreementKey | undefined;
  const userKey = () => {
    ownKey ??= userKeyOf(identityKey);
    return ownKey;
  };
  let connecting: Promise<Transport> | undefined;

  function connected(): Promise<Transport> {
    connecting ??= parts.connect();
    return connecting;
  }

  async function user(): Promise<CustodyUser> {
    over.signal.throwIfAborted();
    // loaded here, because compiling the kernel takes longer than all the rest of a client
    const [{ simdKernel }, transport] = await Promise.all([import("../protocols/field/index.ts"), connected()]);
    return {
      ...{ transport, clock, entropy, directory, identityKey, hedges, stock: parts.stock },
      ...{ tools: { keystream: aesKeystream, kernel: simdKernel } },
      get userKey() {
        return userKey();
      },
      // asked for at each request, so that a long deposit goes on with a new tag when the first one ends
      get session() {
        return session();
      },
    };
  }

  const stock = createClientStock({ ...parts, user, over: over.signal });

  const signalOf = (options: CallOptions) =>
    options.signal === undefined ? over.signal : AbortSignal.any([over.signal, options.signal]);

  const changeOf = (tokenText: string, options: ChangeCallOptions) => {
    const dealer = dealerChoice(directory, options.dealer ?? settings.dealer);
    return { tokenText, dealer, onPhase: options.onPhase, signal: signalOf(options) };
  };

  async function depositRepeatable(
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
        onDeal: () => stock.refill(source.lengthBytes, signal),
        async keepUserShare(tokenId, dealId, share) {
          kept = [tokenId, dealId];
          await shares.keep(tokenId, dealId, share);
        },
      });
    // The key of an envelope waits for the envelope, however long that is.
    const isShort = source.lengthBytes <= MAX_SHORT_BYTES && kind.envelope === undefined;
    try {
      return isShort ? await deposits.run(signal, run) : await run();
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
      deposit: (key, envelope) => depositRepeatable(key, { ...options, onProgress }, signal, { envelope }),
    });
  }

  /** @param check throws when the deposit is not of the kind that is wanted */
  async function retrieveChecked(
    token: TokenText,
    options: RetrieveCallOptions,
    check: (token: Token) => void,
  ): Promise<Retrieved> {
    const { onProgress, onWarning } = options;
    const unwanted = new AbortController();
    const signal = AbortSignal.any([signalOf(options), unwanted.signal]);
    // until it is known who gives the message: how fast that is read is up to its reader
    const retrieval = await retrievals.run(signal, async () =>
      retrieve(await user(), {
        ...{ token, route: options.route ?? "fanout", signal },
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(onWarning === undefined ? {} : { onWarning }),
        userShare: (tokenId, dealId) => shares.find(tokenId, dealId),
      }),
    );
    try {
      check(retrieval.token);
      if (retrieval.token.protocol !== 1) return retrieval;
      const { openMessage } = await import("../protocols/envelope/index.ts");
      return { ...retrieval, message: await openMessage(userKey(), retrieval.message) };
    } catch (error) {
      unwanted.abort(error);
      throw error;
    }
  }

  return {
    identity: identityOfKey(identityKey.publicKey),
    members: directory,
    stock: stock.asSeen,
    async deposit(source, options = {}) {
      const signal = signalOf(options);
      const repeatable = source instanceof Uint8Array ? bytesSource(source) : source;
      if ((options.form ?? "envelope") === "envelope") {
        return isRepeatable(repeatable)
          ? await depositEnvelope(repeatable.open(), repeatable.lengthBytes, options)
          : await depositEnvelope(repeatable, undefined, options);
      }
      if (isRepeatable(repeatable)) return await depositRepeatable(repeatable, options, signal);
      depositPlan(settings, options, directory); // wrong numbers are said before a long pipe is read
      const report = (doneBytes: number) =>
        options.onProgress?.({ phase: "reading", doneBytes, totalBytes: undefined });
      const spooled = await spool(repeatable, { directory: spoolDirectory, entropy, signal, onProgress: report });
      try {
        return await depositRepeatable(spooled, options, signal);
      } finally {
        await spooled[Symbol.asyncDispose]();
      }
    },
    async depositAll(sources, options = {}) {
      const { depositBatch, lotPlan } = await import("./batch.ts");
      const signal = signalOf(options);
      const plan = lotPlan(depositPlan(settings, options, directory), options);
      const one = { ...options, signal, form: "envelope" } as const;
      return await depositBatch(sources, {
        ...{ signal, onDeposited: options.onDeposited ?? (() => {}) },
        lot: async (messages) => await depositLot(await user(), { ...plan, messages, signal }),
        long: (source) => this.deposit(source, one),
      });
    },
    async retrieve(tokenText, options = {}) {
      const token = parseTokenText(tokenText);
      let form: Token["policy"]["form"] | undefined;
      const onProgress = (progress: RetrieveProgress) => {
        if (form === "whole") options.onProgress?.(progress);
      };
      const retrieved = await retrieveChecked(token, { ...options, onProgress }, ({ policy }) => {
        form = policy.form;
        if (form === "detached") throw fileElsewhere();
      });
      if (retrieved.envelope === null) return { token: retrieved.token, message: retrieved.message };
      const { getEnvelope } = await import("./kept-envelopes.ts");
      const parts = { user: await user(), signal: signalOf(options) };
      return getEnvelope(retrieved, { ...parts, onProgress: options.onProgress, onWarning: options.onWarning });
    },
    async encrypt(source, options = {}) {
      const { encrypt } = await import("./envelopes.ts");
      const signal = signalOf(options);
      return await encrypt(source, {
        ...{ entropy, signal },
        deposit: (key) => depositRepeatable(key, options, signal, { form: "detached" }),
        async giveUp({ proof, token, tokenText }) {
          await abandonDeposit(await user(), proof);
          if (token.protocol === 2) await shares.removeAll(parseTokenText(tokenText).tokenId);
        },
      });
    },
    async decrypt(file, options = {}) {
      user().catch(() => undefined); // while the file's head is read, we connect
      const { decrypt } = await import("./envelopes.ts");
      const { route, signal, onWarning } = options;
      return await decrypt(file, {
        signal: signalOf(options),
        retrieve: (tokenText, check) =>
          retrieveChecked(
            parseTokenText(tokenText),
            { route, signal, onWarning: (warning) => onWarning?.(warning, tokenText) },
            check,
          ),
      });
    },
    async refresh(tokenText, options = {}) {
      return await change(await user(), shares, changeOf(tokenText, options));
    },
    async move(tokenText, choice, options = {}) {
      const destination = destinationOf(settings, choice, directory);
      return await change(await user(), shares, { ...changeOf(tokenText, options), destination });
    },
    async repair(tokenText, options = {}) {
      const token = parseTokenText(tokenText);
      return await repairDeposit(await user(), token, signalOf(options));
    },
    async list(options = {}) {
      return await listDeposits(await user(), signalOf(options));
    },
    async show(tokenText, options = {}) {
      const token = parseTokenText(tokenText);
      const signal = signalOf(options);
      const asking = await user();
      const { proof, bytes, grant: ownGrant } = await findProof(asking, token, signal);
      const { terms, placement } = proof;
      const survey = surveyReady(asking, terms.tokenId, placement.roster, signal);
      const [standing] = await Promise.all([
        ownGrant === null
          ? askStanding(asking, terms, placement.roster, { timeoutMs: ASK_TIMEOUT_MS, signal })
          : undefined,
        survey.until(() => false), // all of them
      ]);
      signal.throwIfAborted();
      if (standing !== undefined) await repairGrants(asking, siteOf(terms, placement), standing, signal);
      const providers = placement.roster.map((peer) => {
        const ready = survey.ready(placement).find((each) => each.peer === peer);
        const { holdsCiphertext = false, holdsEnvelope = false } = ready ?? {};
        const destroyedAtMs = standing?.destroyed.get(peer)?.receipt.timeMs ?? null;
        const answers = ready !== undefined;
        return { name: directory.nameOf(peer), peer, answers, holdsCiphertext, holdsEnvelope, destroyedAtMs };
      });
      const grants = standing === undefined ? null : (standing.newest?.list.grants ?? []);
      return { report: reportCheckedProof(proof, directory), proof: bytes, providers, grants, grant: ownGrant };
    },
    async verify(proofOrToken, options = {}) {
      if (typeof proofOrToken !== "string") return reportProof(proofOrToken, directory);
      const token = parseTokenText(proofOrToken);
      const { proof } = await findProof(await user(), token, signalOf(options));
      return reportCheckedProof(proof, directory);
    },
    async grant(tokenText, identity, options = {}) {
      const { purposes = GRANT_PURPOSES, expiresAtMs = null } = options;
      const token = parseTokenText(tokenText);
      return await grant(await user(), { token, identity, purposes, expiresAtMs, signal: signalOf(options) });
    },
    async revoke(tokenText, identity, options = {}) {
      const token = parseTokenText(tokenText);
      return await revoke(await user(), { token, identity, signal: signalOf(options) });
    },
    async destroy(tokenText, options = {}) {
      const token = parseTokenText(tokenText);
      const { tokenId, receipts } = await destroy(await user(), token, signalOf(options));
      await shares.removeAll(tokenId);
      return { report: reportReceipts(receipts, directory), receipts };
    },
    async close() {
      await stock.end();
      over.abort(closed());
      await (await connecting?.catch(() => undefined))?.close();
    },
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}

function fileElsewhere(): IntercloudError {
  const message =
    "this deposit holds the key of an encrypted file, and the file is with whoever encrypted it; give that file to `intercloud decrypt`";
  return new IntercloudError("FILE_ELSEWHERE", "bad-request", message);
}

function isRepeatable(source: MessageSource | OneShotSource): source is MessageSource {
  return "open" in source && "lengthBytes" in source;
}

function closed(): IntercloudError {
  return new IntercloudError("CLOSED", "cancelled", "the client was closed; open another one");
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
