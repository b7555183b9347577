/** Puts a client together. */
import type { Entropy } from "../protocols/crypto/entropy.ts";
import type { AgreementKey } from "../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../protocols/crypto/keystream.ts";
import type { Signer } from "../protocols/crypto/signing.ts";
import { createHedges } from "../protocols/custody/client/hedges.ts";
import {
  abandonDeposit,
  type CustodyUser,
  type Directory,
  depositLot,
  destroy,
  findProof,
  grant,
  listDeposits,
  repairDeposit,
  revoke,
} from "../protocols/custody/client/index.ts";
import { GRANT_PURPOSES } from "../protocols/custody/grants.ts";
import type { DealStock } from "../protocols/dealing/stock.ts";
import { identityOfKey } from "../protocols/identity/index.ts";
import { userKeyOf } from "../protocols/identity/user-key.ts";
import { parseTokenText } from "../protocols/tokens/token-text.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { Transport } from "../protocols/wire/transport.ts";
import { change } from "./change.ts";
import type { CallOptions, ChangeCallOptions, Client } from "./client-api.ts";
import { createClientStock } from "./client-stock.ts";
import { type DepositSettings, dealerChoice, depositPlan, destinationOf } from "./deposit-plan.ts";
import { createDeposits } from "./deposits.ts";
import { reportCheckedProof, reportProof } from "./proof-report.ts";
import { reportReceipts } from "./receipts-report.ts";
import { createRetrievals } from "./retrievals.ts";
import { renewedSessions } from "./session.ts";
import type { ShareStore } from "./shares.ts";
import { show } from "./show.ts";

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

/** What the parts of a client have in common. */
export interface ClientContext {
  user(): Promise<CustodyUser>;
  userKey(): AgreementKey;
  /** The caller's, and the end of the client. */
  signalOf(options: CallOptions): AbortSignal;
}

export function createClient(parts: ClientParts): Client {
  const { identityKey, directory, settings, shares, clock, entropy } = parts;
  const session = renewedSessions(identityKey, clock, entropy);
  const over = new AbortController();
  const hedges = createHedges(clock);
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

  const context = { user, userKey, signalOf };
  const deposits = createDeposits(parts, context, (lengthBytes, signal) => stock.refill(lengthBytes, signal));
  const retrievals = createRetrievals(parts, context);

  const changeOf = (tokenText: string, options: ChangeCallOptions) => {
    const dealer = dealerChoice(directory, options.dealer ?? settings.dealer);
    return { tokenText, dealer, onPhase: options.onPhase, signal: signalOf(options) };
  };

  return {
    identity: identityOfKey(identityKey.publicKey),
    members: directory,
    stock: stock.asSeen,
    deposit: (source, options = {}) => deposits.deposit(source, options),
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
    retrieve: (tokenText, options = {}) => retrievals.retrieve(tokenText, options),
    async encrypt(source, options = {}) {
      const { encrypt } = await import("./envelopes.ts");
      const signal = signalOf(options);
      return await encrypt(source, {
        ...{ entropy, signal },
        deposit: (key) => deposits.repeatable(key, options, signal, { form: "detached" }),
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
          retrievals.checked(
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
      return await show(await user(), parseTokenText(tokenText), signalOf(options));
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

function closed(): IntercloudError {
  return new IntercloudError("CLOSED", "cancelled", "the client was closed; open another one");
}
