/**
 * Retrievals that are refused leave a trace as those that are served do. Identities cost nothing and the audit log is never
 * cut, so a stranger could fill the disk with refusals: past a rate they are only counted, and the next one logged says how many.
 */
import { type AuditEvent, auditChange } from "../../audit/index.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { createQuota } from "../../wire/quota.ts";
import { LOGGED_REFUSALS_AT_ONCE, LOGGED_REFUSALS_PER_SECOND } from "../constants.ts";
import type { CustodyProvider } from "./provider.ts";

type Served = Extract<AuditEvent, { kind: "served" }>;
/** What the log says about a retrieval, whether it is served or refused. */
export type AskedRetrieval = Omit<Served, "kind" | "offsetBytes" | "lengthBytes">;

export interface Refusals {
  /** Runs `check`. The error that it throws is logged as a refusal before it is passed on. */
  watch<T>(asked: AskedRetrieval, check: () => Promise<T>): Promise<T>;
}

export function createRefusals({ clock, store }: Pick<CustodyProvider, "clock" | "store">): Refusals {
  const quota = createQuota({ clock, ratePerSecond: LOGGED_REFUSALS_PER_SECOND, burst: LOGGED_REFUSALS_AT_ONCE });
  let unlogged = 0;
  return {
    async watch(asked, check) {
      try {
        return await check();
      } catch (error) {
        if (quota.take("all") > 0) {
          unlogged += 1;
          throw error;
        }
        const code = error instanceof IntercloudError ? error.code : "INTERNAL";
        const event = auditChange({ kind: "refused", ...asked, code, unlogged });
        const counted = unlogged + 1;
        unlogged = 0;
        try {
          await store.commit([event]);
        } catch (failure) {
          unlogged += counted;
          throw failure;
        }
        throw error;
      }
    },
  };
}
