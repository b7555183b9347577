/**
 * Histories written by hand, for the checker, with the stores that they leave behind when everybody does what it should. What an operation that
 * failed or was killed has done to the stores is for the test to say.
 */
import { checkHistory } from "../../testnet/checker/check.ts";
import type {
  ChangeOperation,
  DestroyOperation,
  Fault,
  FaultKind,
  Finals,
  GetOperation,
  GivenPart,
  GrantOperation,
  History,
  KeptDeposit,
  LieTold,
  Name,
  Operation,
  Outcome,
  PutOperation,
  StoredEvent,
} from "../../testnet/checker/history.ts";
import type { CheckOptions } from "../../testnet/checker/invariant.ts";

export const OWNER = "alice";
export const FRIEND = "bob";
export const WELL: Outcome = { ended: "well" };
export const KILLED: Outcome = { ended: "killed" };

export function failed(code = "NOT_ENOUGH_PROVIDERS", ...peers: Name[]): Outcome {
  return { ended: "failed", code, status: "unreachable", peers };
}

export function providers(...numbers: number[]): Name[] {
  return numbers.map((number) => `provider-${number}`);
}

/** What may be said of an operation besides what it is; the time that it takes, if not its start and end. */
type More<O extends Operation> = Partial<Omit<O, "id" | "kind" | "deposit">> & { readonly tookMs?: number };

export interface DraftStore {
  readonly peer: Name;
  deposits: KeptDeposit[];
  deals: { dealId: string; state: string; boundTo: string | undefined }[];
  records?: string[];
  bodies?: string[];
  events: StoredEvent[];
  brokenLog?: string;
}

type Placement = Pick<KeptDeposit, "generation" | "dealId" | "roster" | "threshold" | "copies">;

interface Deposit {
  readonly put: PutOperation;
  isDestroyed: boolean;
  /** Where it is; undefined for one that was not made. */
  placement: Placement | undefined;
}

export class WrittenHistory {
  nowMs = 0;
  readonly operations: Operation[] = [];
  readonly faults: Fault[] = [];
  readonly lies: LieTold[] = [];
  readonly parts: GivenPart[] = [];
  readonly stores: DraftStore[];
  readonly deposits = new Map<string, Deposit>();
  #deals = 0;
  readonly #names: Name[];
  readonly #threshold: number;
  readonly #copies: number;

  /** Of a network with so many providers; each deposit is at all of them, unless the test says otherwise. */
  constructor({ count = 5, threshold = 3, copies = 3 } = {}) {
    this.#names = providers(...Array.from({ length: count }, (_, i) => i + 1));
    this.#threshold = threshold;
    this.#copies = copies;
    this.stores = this.#names.map((peer) => ({ peer, deposits: [], deals: [], events: [] }));
  }

  wait(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  store(peer: Name): DraftStore {
    return this.stores.find((store) => store.peer === peer)!;
  }

  put(name: string, more: More<PutOperation> & { readonly to?: readonly Name[] } = {}): PutOperation {
    const { to = this.#names, ...rest } = more;
    const shape = { providers: to.length, threshold: this.#threshold, copies: Math.min(this.#copies, to.length) };
    const put = this.#add<PutOperation>({ kind: "put", deposit: name, message: `hash of ${name}`, ...shape }, rest);
    const placement = {
      generation: 0,
      dealId: this.newDeal(),
      roster: to,
      threshold: put.threshold,
      copies: put.copies,
    };
    const isMade = put.outcome?.ended === "well";
    this.deposits.set(name, { put, isDestroyed: false, placement: isMade ? placement : undefined });
    if (isMade) this.keep(name, placement);
    return put;
  }

  get(name: string, more: More<GetOperation> = {}): GetOperation {
    return this.#read("get", name, more);
  }

  steal(name: string, more: More<GetOperation> = {}): GetOperation {
    return this.#read("steal", name, { who: "mallory", outcome: failed("NOT_THE_OWNER"), ...more });
  }

  #read(kind: "get" | "steal", name: string, more: More<GetOperation>): GetOperation {
    const { outcome = WELL } = more;
    const message = this.deposits.get(name)?.put.message;
    return this.#add<GetOperation>(
      { kind, deposit: name, ...(outcome.ended === "well" && message !== undefined && { message }) },
      more,
    );
  }

  grant(name: string, more: More<GrantOperation> = {}): GrantOperation {
    return this.#add<GrantOperation>({ kind: "grant", deposit: name, reader: FRIEND }, more);
  }

  revoke(name: string, more: More<GrantOperation> = {}): GrantOperation {
    const { roster = [], threshold = 0 } = this.deposits.get(name)?.placement ?? {};
    const reach = { reached: roster, needed: roster.length - threshold + 1 };
    return this.#add<GrantOperation>({ kind: "revoke", deposit: name, reader: FRIEND, ...reach }, more);
  }

  refresh(name: string, more: More<ChangeOperation> = {}): ChangeOperation {
    return this.#change("refresh", name, undefined, more);
  }

  move(name: string, to: readonly Name[], more: More<ChangeOperation> = {}): ChangeOperation {
    const shape = {
      providers: to.length,
      threshold: Math.min(this.#threshold, to.length),
      copies: Math.min(this.#copies, to.length),
    };
    return this.#change("move", name, to, { ...shape, ...more });
  }

  repair(name: string, more: More<ChangeOperation> = {}): ChangeOperation {
    const repair = this.#add<ChangeOperation>({ kind: "repair", deposit: name }, more);
    const placement = this.deposits.get(name)?.placement;
    if (repair.outcome?.ended === "well" && placement !== undefined) this.mend(name, placement);
    return repair;
  }

  #change(
    kind: "refresh" | "move",
    name: string,
    to: readonly Name[] | undefined,
    more: More<ChangeOperation>,
  ): ChangeOperation {
    const change = this.#add<ChangeOperation>({ kind, deposit: name }, more);
    const deposit = this.deposits.get(name);
    const before = deposit?.placement;
    if (change.outcome?.ended !== "well" || deposit === undefined || before === undefined) return change;
    const { threshold = before.threshold, copies = before.copies } = change;
    const next = {
      generation: before.generation + 1,
      dealId: this.newDeal(),
      roster: to ?? before.roster,
      threshold,
      copies,
    };
    this.forget(name, before, (peer) => (next.roster.includes(peer) ? undefined : "left"));
    this.keep(name, next);
    deposit.placement = next;
    return change;
  }

  destroy(name: string, more: More<DestroyOperation> = {}): DestroyOperation {
    const deposit = this.deposits.get(name);
    const { roster = [], threshold = 0 } = deposit?.placement ?? {};
    const { receiptsFrom = roster } = more;
    const isDone = (more.outcome ?? WELL).ended === "well";
    const receipts = { receiptsFrom, receipts: receiptsFrom.length, needed: roster.length - threshold + 1 };
    const destroy = this.#add<DestroyOperation>({ kind: "destroy", deposit: name, ...(isDone && receipts) }, more);
    if (!isDone || deposit?.placement === undefined) return destroy;
    this.forget(name, { ...deposit.placement, roster: receiptsFrom }, () => "destroyed");
    deposit.isDestroyed = true;
    return destroy;
  }

  /** From now on, for half a minute. */
  fault(kind: FaultKind, peers: readonly Name[], more: Partial<Fault> = {}): Fault {
    const fault = { kind, peers, fromMs: this.nowMs, untilMs: this.nowMs + 30_000, ...more };
    this.faults.push(fault);
    return fault;
  }

  liar(...peers: Name[]): void {
    this.fault("liar", peers, { fromMs: 0, untilMs: undefined, detail: "wrong-layer" });
  }

  lie(peer: Name, more: Partial<LieTold> = {}): void {
    this.lies.push({ peer, lie: "wrong-layer", atMs: this.nowMs, ...more });
  }

  newDeal(): string {
    this.#deals += 1;
    return `deal-${this.#deals}`;
  }

  tokenOf(name: string): string {
    return `token of ${name}`;
  }

  /** Puts a generation of a deposit into the stores of its providers, in the ordinary way. */
  keep(name: string, placement: Placement, at: readonly Name[] = placement.roster): void {
    const tokenId = this.tokenOf(name);
    const { dealId, generation } = placement;
    const isNew = generation === 0;
    for (const peer of at) {
      this.#store(peer, name, placement);
      this.tell(peer, "dealt", undefined, dealId);
      this.tell(peer, isNew ? "bound" : "change-prepared", tokenId, dealId);
      this.tell(peer, isNew ? "linked" : "change-active", tokenId, undefined, { change: dealId });
      this.tell(peer, isNew ? "sealed" : "changed", tokenId, isNew ? undefined : dealId);
    }
  }

  /** Gives it back to those of its providers that do not have it. */
  mend(name: string, placement: Placement, at: readonly Name[] = placement.roster): void {
    for (const peer of at) {
      if (this.store(peer).deposits.some(({ dealId }) => dealId === placement.dealId)) continue;
      this.#store(peer, name, placement);
      this.tell(peer, "repaired", this.tokenOf(name), undefined);
    }
  }

  #store(peer: Name, name: string, placement: Placement): void {
    const [store, tokenId] = [this.store(peer), this.tokenOf(name)];
    const holdsCiphertext = placement.roster.slice(0, placement.copies).includes(peer);
    store.deposits.push({ tokenId, state: "sealed", ...placement, holdsCiphertext });
    store.deals.push({ dealId: placement.dealId, state: "sealed", boundTo: tokenId });
  }

  /** Changes what a provider keeps of all deposits. */
  alter(peer: Name, change: Partial<KeptDeposit>): void {
    const store = this.store(peer);
    store.deposits = store.deposits.map((kept) => ({ ...kept, ...change }));
  }

  /** Loses what a provider keeps, and perhaps its log. */
  empty(peer: Name, { withLog = false } = {}): void {
    Object.assign(this.store(peer), { deposits: [], deals: [], ...(withLog && { events: [] }) });
  }

  /** Takes one out again. @param told what the log of a provider tells of it */
  forget(name: string, { dealId, roster }: Placement, told: (peer: Name) => string | undefined): void {
    const tokenId = this.tokenOf(name);
    for (const peer of roster) {
      const store = this.store(peer);
      store.deposits = store.deposits.filter((kept) => kept.dealId !== dealId);
      store.deals = store.deals.map((deal) =>
        deal.dealId === dealId ? { dealId, state: "burnt", boundTo: undefined } : deal,
      );
      const kind = told(peer);
      if (kind !== undefined)
        this.tell(peer, kind, tokenId, kind === "destroyed" ? dealId : undefined, { from: dealId });
    }
  }

  /** @param more what the event tells besides */
  tell(peer: Name, kind: string, tokenId: string | undefined, dealId: string | undefined, more: object = {}): void {
    const told = JSON.stringify({ tokenId, dealId, ...more });
    this.store(peer).events.push({ kind, tokenId, dealId, told });
  }

  /** By the owners, of everything that is to be there. */
  lastReads(more: More<GetOperation> = {}): this {
    this.nowMs = Math.max(this.nowMs, this.#calmFromMs()) + 60 * 60_000;
    for (const [name, { put, isDestroyed, placement }] of this.deposits) {
      if (placement !== undefined && !isDestroyed) this.get(name, { who: put.who, isLast: true, ...more });
    }
    return this;
  }

  history(): History {
    const { operations, faults, lies, parts, nowMs } = this;
    const ends = [...operations.map(({ endMs = 0 }) => endMs), ...faults.map(({ untilMs = 0 }) => untilMs)];
    return { operations, faults, lies, parts, calmFromMs: this.#calmFromMs(), endMs: Math.max(nowMs, ...ends) + 1_000 };
  }

  finals(): Finals {
    const acknowledged = [...this.deposits].filter(([, { placement }]) => placement !== undefined);
    return {
      stores: this.stores,
      tokenIds: Object.fromEntries(acknowledged.map(([name]) => [name, this.tokenOf(name)])),
    };
  }

  #calmFromMs(): number {
    return Math.max(0, ...this.faults.map(({ untilMs = 0 }) => untilMs));
  }

  /** One after another, a second long each, with a second in between; unless the test says when. */
  #add<O extends Operation>(
    operation: Omit<O, "id" | "who" | "startMs" | "endMs" | "outcome">,
    { tookMs = 1_000, ...more }: More<O>,
  ): O {
    const startMs = (more.startMs as number | undefined) ?? this.nowMs + 1_000;
    const times = { startMs, endMs: startMs + tookMs };
    const added = {
      id: this.operations.length + 1,
      who: OWNER,
      ...times,
      outcome: WELL,
      ...operation,
      ...more,
    } as unknown as O;
    this.operations.push(added);
    this.nowMs = Math.max(this.nowMs, added.endMs ?? startMs);
    return added;
  }
}

/** The names of the invariants that it breaks. */
export function brokenBy(written: WrittenHistory, options?: CheckOptions): string[] {
  const violations = checkHistory(written.history(), written.finals(), options);
  return [...new Set(violations.map(({ invariant }) => invariant))];
}
