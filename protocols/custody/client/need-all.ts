import type { CborValue } from "../../wire/codec.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { askAll } from "./ask-all.ts";
import { askFailure } from "./deposit-failure.ts";
import type { CustodyUser } from "./user.ts";

/** A step of a deposit that all its providers must take. @returns what they said, in point order. @throws IntercloudError that names those who did not. */
export async function needAll<T>(
  user: CustodyUser,
  terms: DepositTerms,
  method: string,
  body: CborValue | ((peer: PeerName) => CborValue),
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  read: (answer: CborValue, peer: PeerName) => T,
): Promise<readonly T[]> {
  const { answers, failures } = await askAll(user, terms.roster, method, body, { timeoutMs, signal }, read);
  if (failures.length === 0) return terms.roster.map((peer) => answers.get(peer) as T);
  signal.throwIfAborted();
  throw askFailure(user, terms.roster, failures);
}
