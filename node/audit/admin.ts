/** What the admin server tells of the audit log: the signed head, and the entries as they are stored. Nothing in them is secret. */
import { IntercloudError } from "../../protocols/wire/errors.ts";
import type { StoredLog } from "../store/index.ts";
import { noAuditLog } from "./errors.ts";
import { type HeadFile, headFileOf } from "./files.ts";

/** An answer is made in memory: 0.5 MB with entries of 400 bytes, 6 MB with the longest that there can be. */
export const MAX_PAGE_ENTRIES = 1_000;

export interface EntriesAnswer {
  /** Base64, in the order in which they are kept; none behind the last. */
  readonly entries: readonly string[];
}

/** @param log undefined as long as the store is not open. */
export function auditQuestions(log: () => StoredLog | undefined) {
  const found = (): StoredLog => {
    const opened = log();
    if (opened !== undefined) return opened;
    throw new IntercloudError("STARTING", "busy", "the store is being checked; ask again soon");
  };
  return {
    async "/audit/head"(): Promise<HeadFile> {
      const signedHead = await found().signedHead();
      if (signedHead === undefined) throw noAuditLog("here");
      return headFileOf(signedHead);
    },
    async "/audit/entries"(query: URLSearchParams): Promise<EntriesAnswer> {
      const after = numberIn(query, "after", 0, Number.MAX_SAFE_INTEGER);
      const limit = numberIn(query, "limit", MAX_PAGE_ENTRIES, MAX_PAGE_ENTRIES);
      const entries: string[] = [];
      if (limit === 0) return { entries };
      for await (const entry of found().entries(after)) {
        entries.push(Buffer.from(entry).toString("base64"));
        if (entries.length === limit) break;
      }
      return { entries };
    },
  };
}

function numberIn(query: URLSearchParams, name: string, ifMissing: number, most: number): number {
  const text = query.get(name);
  const value = text === null ? ifMissing : /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= most) return value;
  throw new IntercloudError("BAD_QUERY", "bad-request", `"${name}" is a whole number up to ${most}`);
}
