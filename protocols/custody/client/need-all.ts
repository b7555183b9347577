import type { CborValue } from "../../wire/codec.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { askAll } from "./ask-all.ts";
import { askFailure } from "./deposit-failure.ts";
import type { CustodyUser } from "./user.ts";

/** A step of a deposit that all its providers must take. @throws IntercloudError that names those who did not. */
export async function needAll(
  user: CustodyUser,
  terms: DepositTerms,
  method: string,
  body: CborValue | ((peer: PeerName) => CborValue),
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<ReadonlyMap<PeerName, CborValue>> {
  const { answers, failures } = await askAll(user, terms.roster, method, body, { timeoutMs, signal });
  if (failures.length === 0) return answers;
  signal.throwIfAborted();
  throw askFailure(user, terms.roster, failures);
}
