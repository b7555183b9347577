/** What the commands that retrieve a deposit have in common: the route, and what went wrong and was mended. */
import type { RetrieveWarning } from "../../protocols/custody/client/index.ts";
import type { Route } from "../../protocols/rounds/descriptor.ts";
import { type CommandContext, type OptionSpec, textOption } from "../../runtime/command.ts";
import type { Client } from "../client-api.ts";
import { keepEvidence } from "../evidence-files.ts";
import type { Home } from "../home.ts";
import type { ProgressLine } from "./progress.ts";
import { listed, warn } from "./shared.ts";

export const RETRIEVE_ROUTE_OPTION: OptionSpec = {
  name: "route",
  value: "ROUTE",
  choices: ["chain", "fanout"],
  summary: "how it travels (default fanout)",
};

export function retrieveRouteOf(context: CommandContext): Route {
  return textOption(context, "route") === "chain" ? "chain" : "fanout";
}

export interface Warnings {
  add(warning: RetrieveWarning, tokenText: string): void;
  /** Resolves when all of them were told. Never rejects. */
  told(): Promise<void>;
}

export function retrieveWarnings(
  context: CommandContext,
  client: Client,
  home: Home,
  progress: ProgressLine,
): Warnings {
  const telling: Promise<void>[] = [];
  return {
    add(warning, tokenText) {
      progress.clear();
      telling.push(tell(context, client, home, tokenText, warning));
    },
    async told() {
      await Promise.all(telling);
    },
  };
}

/** Evidence is kept in the home. Never throws: the message is what matters. */
async function tell(
  context: CommandContext,
  client: Client,
  { evidenceDirectory }: Home,
  tokenText: string,
  warning: RetrieveWarning,
): Promise<void> {
  const names = listed(warning.peers.map((peer) => client.members.nameOf(peer)));
  try {
    if (warning.kind === "replaced") {
      await warn(context, "PROVIDER_REPLACED", `${names} failed while it was sending, and was replaced`);
    } else if (warning.kind === "wrong-bytes") {
      await warn(
        context,
        "WRONG_BYTES",
        `what ${names} sent together was wrong and was thrown away; asking each alone`,
      );
    } else if (warning.kind === "wrong-envelope") {
      const message = `${names} sent wrong bytes of the envelope, which were thrown away; another provider that keeps it sent the right ones. \`repair\` mends a copy that is damaged`;
      await warn(context, "WRONG_ENVELOPE", message);
    } else if (warning.kind === "named") {
      const { kind, evidence } = warning.accusation;
      const file = await keepEvidence(evidenceDirectory, `${names}-${kind}`, tokenText, evidence);
      const did = kind === "lost" ? "lost what it should keep, as it says itself" : `lied (${kind})`;
      await warn(context, "LIAR_NAMED", `${names} ${did}; the evidence is in ${file}, see verify-evidence`);
    }
  } catch {
    // nobody reads our messages, or the evidence cannot be kept
  }
}
