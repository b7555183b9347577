import type { CborValue } from "../../wire/codec.ts";
import type { CallOptions, PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import type { CustodyUser } from "./user.ts";

export interface Failure {
  readonly peer: PeerName;
  readonly error: unknown;
}

/** Asks several providers at once, the same thing or each its own. Resolves when all have answered or failed; never rejects. */
export async function askAll(
  user: CustodyUser,
  peers: readonly PeerName[],
  method: string,
  body: CborValue | ((peer: PeerName) => CborValue),
  options: CallOptions,
): Promise<{ readonly answers: ReadonlyMap<PeerName, CborValue>; readonly failures: readonly Failure[] }> {
  const bodyFor = typeof body === "function" ? body : () => body;
  const answers = new Map<PeerName, CborValue>();
  const failures: Failure[] = [];
  await Promise.all(
    peers.map(async (peer) => {
      try {
        answers.set(peer, await user.transport.ask(peer, CUSTODY_PROTOCOL, method, bodyFor(peer), options));
      } catch (error) {
        failures.push({ peer, error });
      }
    }),
  );
  return { answers, failures };
}
