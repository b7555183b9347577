/** Grants as people read them. */
import type { GrantsChanged } from "../../protocols/custody/client/index.ts";
import { type Grant, type GrantTerms, isExpired } from "../../protocols/custody/grants.ts";
import { type CommandContext, writeJson, writeText } from "../../runtime/command.ts";
import type { Client } from "../client-api.ts";
import { isoOrNull } from "./expiry.ts";
import { listed, warn } from "./shared.ts";
import { tableText } from "./text.ts";

/** The outcome of `grant` and `revoke`. */
export async function writeChanged(
  context: CommandContext,
  { members }: Client,
  { list, reached, missing, needed }: GrantsChanged,
  about: object,
  what: string,
): Promise<void> {
  const names = missing.map((peer) => members.nameOf(peer));
  const providers = reached.length + missing.length;
  if (context.json) {
    const { version } = list;
    await writeJson(context, { ...about, version, providers, reached: reached.length, needed, missing: names });
  } else {
    await writeText(context.stdout, `${what}, at ${reached.length} of ${providers} providers\n`);
  }
  if (names.length > 0) {
    const message = `${listed(names)} did not take it; the next grant, revoke or show brings it to whoever is up then`;
    await warn(context, "PROVIDERS_MISSING", message);
  }
}

export function grantJson({ purposes, expiresAtMs }: GrantTerms) {
  return { purposes, expires: isoOrNull(expiresAtMs) };
}

export function grantsTable(grants: readonly Grant[], nowMs: number): string {
  const rows = grants.map((each) => [
    each.identity,
    each.purposes.join(", "),
    (isoOrNull(each.expiresAtMs) ?? "revoked") + (isExpired(each, nowMs) ? " (expired)" : ""),
  ]);
  return tableText([["GRANTED TO", "MAY", "UNTIL"], ...rows]);
}
