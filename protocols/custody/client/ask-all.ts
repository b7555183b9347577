import type { CborValue } from "../../wire/codec.ts";
import { readAnswer } from "../../wire/shape.ts";
import type { CallOptions, PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import type { CustodyUser } from "./user.ts";

export interface Failure {
  readonly peer: PeerName;
  readonly error: unknown;
}

export interface Answers<T> {
  readonly answers: ReadonlyMap<PeerName, T>;
  readonly failures: readonly Failure[];
}

/**
 * Asks several providers at once, the same thing or each its own. Resolves when all have answered or failed; never rejects.
 * @param read what an answer says; it throws when that is nonsense, and the provider has failed then
 */
export async function askAll<T>(
  user: CustodyUser,
  peers: readonly PeerName[],
  method: string,
  body: CborValue | ((peer: PeerName) => CborValue),
  options: CallOptions,
  read: (answer: CborValue, peer: PeerName) => T,
): Promise<Answers<T>> {
  const bodyFor = typeof body === "function" ? body : () => body;
  const answers = new Map<PeerName, T>();
  const failures: Failure[] = [];
  await Promise.all(
    peers.map(async (peer) => {
      try {
        const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, method, bodyFor(peer), options);
        answers.set(
          peer,
          readAnswer(peer, method, () => read(answer, peer)),
        );
      } catch (error) {
        failures.push({ peer, error });
      }
    }),
  );
  return { answers, failures };
}

/** For an answer that says nothing but that it was done. */
export const unread = (_: CborValue): void => {};
