/**
 * What happened, told from outside: what users asked for and what they got, and what was done to peers meanwhile. The simulator writes one, and
 * so does a network of real processes; the checker knows nothing else of either. Plain data, so that it can be kept in a file.
 *
 * All times are milliseconds on one clock that no peer can move.
 */

/** A peer by what it is called: `provider-3`, `dealer-1`. */
export type Name = string;

export type OperationKind =
  | "put"
  | "get"
  | "grant"
  | "revoke"
  | "refresh"
  | "move"
  | "repair"
  | "destroy"
  /** Somebody who was never let in tries to read. */
  | "steal";

interface Common {
  /** In the order of their beginnings. */
  readonly id: number;
  readonly kind: OperationKind;
  /** Which deposit it is about: the same name in all operations on one deposit, and another one for each put. */
  readonly deposit: string;
  /** The identity that asks. */
  readonly who: string;
  readonly startMs: number;
  /** Undefined while it is under way; an operation that its user was killed in ends with `killed`. */
  readonly endMs: number | undefined;
  readonly outcome: Outcome | undefined;
}

export type Outcome =
  | { readonly ended: "well" }
  /** `peers` are those that the error names as having done wrong, or as missing. */
  | { readonly ended: "failed"; readonly code: string; readonly status: string; readonly peers: readonly Name[] }
  | { readonly ended: "killed" };

export interface PutOperation extends Common {
  readonly kind: "put";
  /** What was put: its SHA-256, in hexadecimal. */
  readonly message: string;
  readonly providers: number;
  readonly threshold: number;
  /** How many of them keep the ciphertext. */
  readonly copies: number;
}

export interface GetOperation extends Common {
  readonly kind: "get" | "steal";
  /** What came back, when it ended well: its SHA-256, in hexadecimal. */
  readonly message?: string;
  /** Who was found to have lied, by evidence. */
  readonly accused?: readonly Accused[];
  /** Asked when all faults were over and everything had come to rest. */
  readonly isLast?: boolean;
}

export interface Accused {
  readonly peer: Name;
  /** The kind of the evidence. */
  readonly kind: string;
  /** Whether the evidence was accepted by somebody who has the federation file only. */
  readonly isProven: boolean;
}

export interface GrantOperation extends Common {
  readonly kind: "grant" | "revoke";
  /** Who may read from now on, or may not any more. */
  readonly reader: string;
  /** On the clock of the history; undefined for a grant that does not expire, and for a revoke. */
  readonly expiresAtMs?: number | undefined;
  /** Of one that ended well: who has taken it, and how many had to. */
  readonly reached?: readonly Name[];
  readonly needed?: number;
}

export interface ChangeOperation extends Common {
  /** A repair ends well when all providers of the deposit say that they have everything. */
  readonly kind: "refresh" | "move" | "repair";
  /** Of a move: where to. */
  readonly providers?: number;
  readonly threshold?: number;
  readonly copies?: number;
  /** Of a repair that failed: who says all the same that it has everything. */
  readonly mended?: readonly Name[];
}

export interface DestroyOperation extends Common {
  readonly kind: "destroy";
  /** How many providers have given a receipt, and how many make the deposit unrecoverable. */
  readonly receipts?: number;
  readonly needed?: number;
  /** Who gave them. */
  readonly receiptsFrom?: readonly Name[];
}

export type Operation = PutOperation | GetOperation | GrantOperation | ChangeOperation | DestroyOperation;

export type FaultKind =
  /** The process is killed, and started again at the end. */
  | "crash"
  /** Nothing passes between two groups of peers. */
  | "partition"
  /** Each message takes far longer. */
  | "slow-link"
  /** The connections between two peers break. */
  | "reset"
  /** Requests arrive later than those that were sent after them. */
  | "reorder"
  /** Requests arrive twice. */
  | "duplicate"
  /** Requests or their answers never arrive. */
  | "loss"
  | "slow-disk"
  | "full-disk"
  /** The clock shows another time. */
  | "clock"
  /** The disk is gone, or is what it was some time ago. */
  | "lost-disk"
  | "old-disk"
  /** It is up to no good, from the beginning to the end. */
  | "liar";

export interface Fault {
  readonly kind: FaultKind;
  /** Whom it strikes; of a partition those on its smaller side. */
  readonly peers: readonly Name[];
  readonly fromMs: number;
  /** Undefined for one that does not end. */
  readonly untilMs: number | undefined;
  /** Of a liar: which lie; of a clock: by how many milliseconds; otherwise what there is to say. */
  readonly detail?: string;
}

/** A liar did what it should not, in something that somebody asked of it. */
export interface LieTold {
  readonly peer: Name;
  readonly lie: string;
  readonly atMs: number;
  /** In which operation it was told; undefined when that is not known. */
  readonly operation?: number;
}

/** What a provider gave away of its part in a round, to the user or to the one that adds the parts up. */
export interface GivenPart {
  readonly peer: Name;
  readonly lengthBytes: number;
  /** Its SHA-256, in hexadecimal. */
  readonly digest: string;
}

export interface History {
  readonly operations: readonly Operation[];
  /** Undefined when nobody looked. */
  readonly parts?: readonly GivenPart[];
  readonly faults: readonly Fault[];
  readonly lies: readonly LieTold[];
  /** When the last fault that ends has ended. */
  readonly calmFromMs: number;
  readonly endMs: number;
}

/** What a provider has in the end, of what is there to be checked: when the time of all deals is over, and everybody has settled what was left open. */
export interface FinalStore {
  readonly peer: Name;
  readonly deposits: readonly KeptDeposit[];
  readonly deals: readonly { readonly dealId: string; readonly state: string; readonly boundTo: string | undefined }[];
  /** The keys of all records that are there; undefined when they cannot be told. */
  readonly records?: readonly string[] | undefined;
  /**
   * The names of all bodies that are there; undefined when they cannot be told, or when the provider was not started again after everything had
   * come to rest: at its start it looks for those that belong to nothing.
   */
  readonly bodies?: readonly string[] | undefined;
  /** Its audit log, oldest first. */
  readonly events: readonly StoredEvent[];
  /** Why the log does not verify; undefined when it does. */
  readonly brokenLog?: string | undefined;
}

export interface KeptDeposit {
  readonly tokenId: string;
  /** `bound`, `linked` or `sealed`. */
  readonly state: string;
  readonly generation: number;
  readonly dealId: string;
  /** The providers of this generation, in point order. */
  readonly roster: readonly Name[];
  readonly threshold: number;
  /** How many of them, from the first on, are to keep the ciphertext. */
  readonly copies: number;
  readonly holdsCiphertext: boolean;
  /** The id of the deal of the lot that it was made in; undefined when it was made alone, or has a record of its own by now. */
  readonly lot?: string | undefined;
}

/** Ids are in hexadecimal, and undefined where it names none. */
export interface StoredEvent {
  readonly kind: string;
  readonly tokenId: string | undefined;
  readonly dealId: string | undefined;
  /** Of a `lot`: `bound`, `linked` or `sealed`. */
  readonly step?: string | undefined;
  /** Everything that it tells, but for `from`, as one text: when something is told twice the texts are the same. */
  readonly told: string;
}

export interface Finals {
  /** Of all providers, whatever has become of them. */
  readonly stores: readonly FinalStore[];
  /** The id of each deposit's token, by the deposit's name, for those that were acknowledged. */
  readonly tokenIds: Readonly<Record<string, string>>;
}
