/** Reads a new generation back before the old one is given up: every provider's share has a part in a read that gives the right bytes. */
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { keepersOf, type Placement } from "../placement.ts";
import type { SeedShare } from "../share-boxes.ts";
import { checkedMessage, WrongBytes } from "./checked-blocks.ts";
import type { ReadyProvider } from "./ready-survey.ts";
import { type Located, openRound } from "./round.ts";
import type { CustodyUser } from "./user.ts";

/**
 * @param makers who gave parts of what the new ciphertext is made of
 * @throws IntercloudError BAD_GENERATION that names all who may have spoilt it; RoundFailure.
 */
export async function checkGeneration(
  user: CustodyUser,
  located: Located,
  makers: readonly PeerName[],
  ownShares: readonly SeedShare[],
  signal: AbortSignal,
): Promise<void> {
  const count = Math.max(1, located.placement.manifest.threshold - ownShares.length);
  for (const members of readsThatCover(located.placement, count)) {
    const plan = { members, route: "fanout", offsetBytes: 0, ownShares, patience: undefined } as const;
    try {
      const blocks = checkedMessage(located.token).blocks(openRound(user, located, plan, signal).bytes);
      for await (const pieces of blocks) for (const piece of pieces) piece.fill(0);
    } catch (error) {
      if (error instanceof WrongBytes) {
        const { roster, manifest } = located.placement;
        const readers = members.map(({ peer }) => peer);
        throw badGeneration(user, [...new Set([roster[0]!, ...makers, ...readers, manifest.dealer])], error);
      }
      throw error;
    }
  }
}

/**
 * Sets of `count` members, each with a keeper in front, in which every provider is at least once. When one provider and the user are enough
 * (Protocol 1, and Protocol 2 with t = 2), those that keep no ciphertext have a part in no read at all.
 */
export function readsThatCover({ roster, copies, ...rest }: Placement, count: number): ReadyProvider[][] {
  const keepers = keepersOf({ roster, copies, ...rest });
  const all = roster.map((peer, i) => ({
    ...{ peer, point: i + 1, latencyMs: 0, holdsCiphertext: keepers.includes(peer), holdsEnvelope: false },
  }));
  const left = count > 1 ? [...all] : all.slice(0, copies);
  const reads: ReadyProvider[][] = [];
  while (left.length > 0) {
    const first = all[reads.length % copies]!;
    const others = left.filter((each) => each !== first).slice(0, count - 1);
    const filled = [first, ...others, ...all.filter((each) => each !== first && !others.includes(each))].slice(
      0,
      count,
    );
    reads.push(filled);
    for (const member of filled) {
      const at = left.indexOf(member);
      if (at >= 0) left.splice(at, 1);
    }
  }
  return reads;
}

function badGeneration(user: CustodyUser, peers: readonly PeerName[], cause: unknown): IntercloudError {
  const names = peers.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    "what was made does not read back right; the deposit stays as it was. " +
    `One of ${names} did not do what it should; try again with others`;
  return new IntercloudError("BAD_GENERATION", "integrity", message, { peers }, cause);
}
