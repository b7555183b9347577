/**
 * Reading the envelope of a deposit from those that keep it: from the fastest, and when that one fails or stands still, from where it
 * stopped, from another. What comes is not checked here: only who has the key can do that, piece by piece.
 */
import { IntercloudError, RemoteError } from "../../wire/errors.ts";
import type { Channel, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import type { KeptEnvelope } from "../kept-envelope.ts";
import { grantExpired } from "./find-proof.ts";
import { type CustodyUser, signedRequest } from "./user.ts";

/** A keeper that sends nothing for so long is left for another, if there is one; an idle timeout is ten times as long. */
const STALL_MS = 3_000;

/** A reader that took nothing for so long lost the keeper's patience, and the keeper is not to blame. */
const READER_STALL_MS = 15_000;

const STALLED = "STALLED";

export interface EnvelopeToRead {
  readonly tokenId: Uint8Array;
  readonly dealId: Uint8Array;
  readonly envelope: KeptEnvelope;
  /** Who may have it, in the order in which they are to be asked; asked for whenever another one is needed. */
  keepers(): readonly PeerName[];
}

export interface Stretch {
  readonly from: PeerName;
  /** From the offset on to the end of the file. Throws KeeperFailure. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface EnvelopeReader {
  /** @throws IntercloudError NO_ENVELOPE, NOT_THE_OWNER, GRANT_EXPIRED, WRONG_BYTES when there is nobody left to ask. */
  open(offsetBytes: number): Promise<Stretch>;
  /** What it gave was wrong: it is not asked again. */
  reject(peer: PeerName): void;
}

interface Connection {
  readonly channel: Channel;
  release(): void;
}

/** A keeper that does not give the envelope, or not all of it. */
export class KeeperFailure extends IntercloudError {
  override readonly name = "KeeperFailure";
  readonly peer: PeerName;
  /** It sent more or fewer bytes than the owner signed for, or others than it said. */
  readonly isWrong: boolean;

  constructor(peer: PeerName, cause: unknown) {
    const status = cause instanceof IntercloudError ? cause.status : "internal";
    super("KEEPER_FAILED", status, "a provider did not give the envelope that it keeps", { peers: [peer] }, cause);
    this.peer = peer;
    this.isWrong = status === "integrity" && !(cause instanceof RemoteError);
  }
}

/** @param signal ends all that is under way. @param onReplaced told of a keeper that failed while it was sending */
export function readEnvelope(
  user: CustodyUser,
  wanted: EnvelopeToRead,
  signal: AbortSignal,
  onReplaced: (peer: PeerName) => void,
): EnvelopeReader {
  /** With the error, or undefined for one whose bytes were wrong. */
  const failed = new Map<PeerName, KeeperFailure | undefined>();
  /** Asked again when there is nobody else. */
  const stalled = new Set<PeerName>();
  const left = (): PeerName[] => {
    const good = wanted.keepers().filter((peer) => !failed.has(peer));
    return [...good.filter((peer) => !stalled.has(peer)), ...good.filter((peer) => stalled.has(peer))];
  };
  const canReplace = (peer: PeerName) => left().some((each) => each !== peer && !stalled.has(each));

  /** @throws IntercloudError STALLED when that takes long and somebody else could do it. */
  async function unlessStalled<T>(peer: PeerName, waiting: Promise<T>): Promise<T> {
    const stall = Promise.withResolvers<never>();
    const disarm = user.clock.after(STALL_MS, () => {
      if (!canReplace(peer)) return;
      stalled.add(peer);
      stall.reject(new IntercloudError(STALLED, "timeout", "a provider stands still", { peers: [peer] }));
    });
    try {
      return await Promise.race([waiting, stall.promise]);
    } finally {
      disarm();
      waiting.catch(() => undefined);
    }
  }

  async function connect(peer: PeerName, offsetBytes: number) {
    const { tokenId, dealId } = wanted;
    const request = signedRequest(user, "retrieve", { tokenId, dealId, provider: peer, offsetBytes });
    const options = { timeoutMs: canReplace(peer) ? STALL_MS : OPEN_TIMEOUT_MS, signal };
    const channel = await user.transport.open(peer, CUSTODY_PROTOCOL, "read-envelope", { request }, options);
    return { channel, release: abortOn(signal, channel) };
  }

  async function* received(peer: PeerName, { channel, release }: Connection, offsetBytes: number) {
    let isComplete = false;
    let readerStalled = false;
    try {
      const lengthBytes = wanted.envelope.lengthBytes - offsetBytes;
      const iterator = channel.receiveBody({ lengthBytes })[Symbol.asyncIterator]();
      for (;;) {
        const next = await unlessStalled(peer, iterator.next());
        if (next.done === true) break;
        const givenAtMs = user.clock.nowMs();
        yield next.value;
        readerStalled ||= user.clock.nowMs() - givenAtMs > READER_STALL_MS;
      }
      await channel.close();
      isComplete = true;
    } catch (error) {
      signal.throwIfAborted();
      const failure = new KeeperFailure(peer, error);
      const isStalled = error instanceof IntercloudError && error.code === STALLED;
      if (!readerStalled && !isStalled) failed.set(peer, failure);
      if (!readerStalled && !failure.isWrong) onReplaced(peer);
      throw failure;
    } finally {
      release();
      if (!isComplete)
        channel.abort(new IntercloudError("STOPPED", "cancelled", "the rest of the envelope is not needed"));
    }
  }

  return {
    reject: (peer) => void failed.set(peer, undefined),
    async open(offsetBytes) {
      for (;;) {
        signal.throwIfAborted();
        const [peer] = left();
        if (peer === undefined) throw nobodyLeft(user, failed);
        try {
          return { from: peer, bytes: received(peer, await connect(peer, offsetBytes), offsetBytes) };
        } catch (error) {
          signal.throwIfAborted();
          failed.set(peer, new KeeperFailure(peer, error));
        }
      }
    },
  };
}

function nobodyLeft(user: CustodyUser, failed: ReadonlyMap<PeerName, KeeperFailure | undefined>): IntercloudError {
  const names = (peers: readonly PeerName[]) => peers.map((peer) => user.directory.nameOf(peer)).join(", ");
  const wrong = [...failed].filter(([, failure]) => failure === undefined || failure.isWrong).map(([peer]) => peer);
  const failures = [...failed.values()].filter((failure) => failure !== undefined);
  if (wrong.length > 0) {
    const message =
      `what ${names(wrong)} gave is not the envelope that the deposit was made with, and no other provider gave a better one. ` +
      "Nothing wrong was handed over; `repair` the deposit, or try again when others are up";
    return new IntercloudError("WRONG_BYTES", "integrity", message, { peers: wrong });
  }
  const expired = failures.find(({ status }) => status === "expired");
  if (expired !== undefined) return grantExpired(expired);
  const refused = failures.find(({ status }) => status === "refused");
  if (refused !== undefined) {
    const message =
      "the providers that keep the envelope refuse: this identity does not own the deposit, or its grant was revoked";
    return new IntercloudError("NOT_THE_OWNER", "refused", message, {}, refused);
  }
  const peers = [...failed.keys()];
  if (failures.every(({ status }) => status === "not-found" || status === "conflict")) {
    const message =
      "the providers do not keep this envelope there any more: the deposit was destroyed or moved meanwhile; get it again";
    return new IntercloudError("NO_ENVELOPE", "not-found", message, { peers }, failures[0]);
  }
  const message = `none of the providers that keep the envelope gave it (${names(peers)}); try again when one of them is up`;
  return new IntercloudError("NO_ENVELOPE", "unreachable", message, { answered: 0, needed: 1, peers }, failures[0]);
}
