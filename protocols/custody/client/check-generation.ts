/** Reads a new generation back before the old one is given up: every provider's share has a part in a read that gives the right bytes. */
import { IntercloudError } from "../../wire/errors.ts";
import { keepersOf, type Placement } from "../placement.ts";
import type { SeedShare } from "../share-boxes.ts";
import { checkedMessage, WrongBytes } from "./checked-blocks.ts";
import type { ReadyProvider } from "./ready-survey.ts";
import { type Located, openRound } from "./round.ts";
import type { CustodyUser } from "./user.ts";

/** @throws IntercloudError BAD_GENERATION that names those who took part in the read that went wrong; RoundFailure. */
export async function checkGeneration(
  user: CustodyUser,
  located: Located,
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
      if (error instanceof WrongBytes) throw badGeneration(user, members, error);
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

function badGeneration(user: CustodyUser, members: readonly ReadyProvider[], cause: unknown): IntercloudError {
  const peers = members.map(({ peer }) => peer);
  const names = peers.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    `what was made does not read back right (${names}); the deposit stays as it was. ` +
    "One of the providers, or the dealer, did not do what it should; try again with others";
  return new IntercloudError("BAD_GENERATION", "integrity", message, { peers }, cause);
}
