/** Every command, with the room it lives in. Only the room of the command that was typed is loaded. */
import type { Command } from "../runtime/command.ts";

export interface CommandEntry {
  /** `put`, or `testnet up` for a command of a group. */
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ readonly command: Command }>;
}

export interface CommandTable {
  /** Group name to its one-line summary. */
  readonly groups: Readonly<Record<string, string>>;
  readonly commands: readonly CommandEntry[];
}

export const COMMAND_TABLE: CommandTable = {
  groups: {
    id: "the identities of this home",
    stock: "deals that are fetched ahead, for when every dealer is away",
    node: "a provider's daemon",
    dealer: "a dealer's daemon",
    audit: "a node's log of what it did, and whether it is whole",
    federation: "the providers and dealers that know each other",
    testnet: "many real peers on this machine",
  },
  commands: [
    {
      name: "put",
      summary: "deposit a file and print its token",
      load: () => import("../client/commands/put.ts"),
    },
    {
      name: "get",
      summary: "get a deposit back",
      load: () => import("../client/commands/get.ts"),
    },
    {
      name: "encrypt",
      summary: "encrypt a file, which stays with you; the providers keep its key",
      load: () => import("../client/commands/encrypt.ts"),
    },
    {
      name: "decrypt",
      summary: "decrypt what encrypt made",
      load: () => import("../client/commands/decrypt.ts"),
    },
    {
      name: "list",
      summary: "list the deposits of this home's identity, and those that others let it read",
      load: () => import("../client/commands/list.ts"),
    },
    {
      name: "show",
      summary: "show what a token stands for, and who holds it and answers now",
      load: () => import("../client/commands/show.ts"),
    },
    {
      name: "verify",
      summary: "check a deposit's chain of signatures, or the receipts of one that was destroyed",
      load: () => import("../client/commands/verify.ts"),
    },
    {
      name: "trace",
      summary: "follow a deposit along its chain and name the first link that breaks",
      load: () => import("../client/commands/trace.ts"),
    },
    {
      name: "verify-evidence",
      summary: "check a file that says that a provider or dealer lied",
      load: () => import("../client/commands/verify-evidence.ts"),
    },
    {
      name: "repair",
      summary: "have every provider make good what it lost of a deposit",
      load: () => import("../client/commands/repair.ts"),
    },
    {
      name: "refresh",
      summary: "give a deposit fresh shares, so that old ones are worth nothing",
      load: () => import("../client/commands/refresh.ts"),
    },
    {
      name: "move",
      summary: "take a deposit to other providers, or another n and t",
      load: () => import("../client/commands/move.ts"),
    },
    {
      name: "grant",
      summary: "let another identity read a deposit",
      load: () => import("../client/commands/grant.ts"),
    },
    {
      name: "revoke",
      summary: "end what grant allowed; what was got before stays got",
      load: () => import("../client/commands/revoke.ts"),
    },
    {
      name: "destroy",
      summary: "have the providers destroy a deposit; cannot be undone",
      load: () => import("../client/commands/destroy.ts"),
    },
    {
      name: "id new",
      summary: "make an identity in this home; never replaces one",
      load: () => import("../client/commands/id-new.ts"),
    },
    {
      name: "id show",
      summary: "print the identity of this home",
      load: () => import("../client/commands/id-show.ts"),
    },
    {
      name: "id export",
      summary: "write the identity's key to a file, sealed with a passphrase, to keep it elsewhere",
      load: () => import("../client/commands/id-export.ts"),
    },
    {
      name: "stock fill",
      summary: "fetch deals ahead, so that encrypt goes on with every dealer away",
      load: () => import("../client/commands/stock-fill.ts"),
    },
    {
      name: "stock show",
      summary: "list the deals that were fetched ahead",
      load: () => import("../client/commands/stock-show.ts"),
    },
    {
      name: "stock drop",
      summary: "throw away the deals that were fetched ahead; no deposit needs them",
      load: () => import("../client/commands/stock-drop.ts"),
    },
    {
      name: "node init",
      summary: "make a provider's directory: key, configuration, descriptor",
      load: () => import("../node/commands/init.ts"),
    },
    {
      name: "node restore",
      summary: "get everything back from the other providers after a disk was lost",
      load: () => import("../node/commands/restore.ts"),
    },
    {
      name: "node run",
      summary: "run a provider until it is told to stop",
      load: () => import("../node/commands/run.ts"),
    },
    {
      name: "audit verify",
      summary: "find any entry of a node's audit log that was removed, altered or reordered",
      load: () => import("../node/commands/audit-verify.ts"),
    },
    {
      name: "audit show",
      summary: "print the events of a node's audit log, opened with its key, one a line (JSON lines with --json)",
      load: () => import("../node/commands/audit-show.ts"),
    },
    {
      name: "audit head",
      summary: "print the signed head of a node's audit log, a receipt for all that is in it now",
      load: () => import("../node/commands/audit-head.ts"),
    },
    {
      name: "audit export",
      summary: "write a node's audit log to a file that can be checked anywhere; its events stay encrypted",
      load: () => import("../node/commands/audit-export.ts"),
    },
    {
      name: "audit disclose",
      summary: "print one entry of a node's audit log with the key of its event, for an auditor; it opens nothing else",
      load: () => import("../node/commands/audit-disclose.ts"),
    },
    {
      name: "dealer init",
      summary: "make a dealer's directory: key, configuration, descriptor",
      load: () => import("../rng-dealer/commands/init.ts"),
    },
    {
      name: "dealer run",
      summary: "run a dealer until it is told to stop",
      load: () => import("../rng-dealer/commands/run.ts"),
    },
    {
      name: "federation create",
      summary: "put descriptors together into one signed federation file",
      load: () => import("../testnet/commands/federation-create.ts"),
    },
    {
      name: "testnet up",
      summary: "start a testnet and return when all its peers are ready",
      load: () => import("../testnet/commands/up.ts"),
    },
    {
      name: "testnet status",
      summary: "say how each peer is",
      load: () => import("../testnet/commands/status.ts"),
    },
    {
      name: "testnet down",
      summary: "stop all peers and keep their data",
      load: () => import("../testnet/commands/down.ts"),
    },
    {
      name: "testnet kill",
      summary: "kill peers without warning (SIGKILL)",
      load: () => import("../testnet/commands/kill.ts"),
    },
    {
      name: "testnet pause",
      summary: "freeze peers (SIGSTOP)",
      load: () => import("../testnet/commands/pause.ts"),
    },
    {
      name: "testnet resume",
      summary: "let frozen peers go on (SIGCONT)",
      load: () => import("../testnet/commands/resume.ts"),
    },
    {
      name: "testnet start",
      summary: "start peers that do not run, and wait until they are ready",
      load: () => import("../testnet/commands/start.ts"),
    },
  ],
};
