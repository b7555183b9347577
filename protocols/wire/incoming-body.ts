/** A body being received: its pieces as they arrive, and nothing counts before the END frame has been checked. */
import { createBlockDigester, digestOfBlocks } from "../crypto/block-digest.ts";
import { equalBytes } from "../crypto/digest.ts";
import type { Clock } from "./clock.ts";
import { IntercloudError } from "./errors.ts";
import type { IncomingItem } from "./incoming.ts";
import { MIN_BODY_BYTES_PER_SECOND } from "./limits.ts";
import type { BodySummary, IncomingBody, PeerName, ReceiveOptions } from "./transport.ts";

interface BodyParts {
  readonly peer: PeerName;
  readonly expected: ReceiveOptions;
  /** The next item, if it comes within the time. */
  receive(withinMs: number): Promise<IncomingItem>;
  readonly clock: Clock;
  /** A silence of this length ends the channel. */
  readonly idleTimeoutMs: number;
  /** Ends the channel and tells the peer. */
  abort(reason: IntercloudError): void;
  /** The consumer left before the end: nothing more can be received on the channel. */
  abandon(): void;
}

export function createIncomingBody(parts: BodyParts): IncomingBody {
  const { peer, expected, abort, abandon } = parts;
  const exactBytes = "lengthBytes" in expected ? expected.lengthBytes : undefined;
  const maxBytes = "lengthBytes" in expected ? expected.lengthBytes : expected.maxBytes;
  let summary: BodySummary | undefined;
  let started = false;

  function integrity(code: string, what: string): IntercloudError {
    return new IntercloudError(code, "integrity", `the body that ${peer} sent ${what}`, { peers: [peer] });
  }

  function check(received: BodySummary, declared: BodySummary): BodySummary {
    const announcedBytes = exactBytes ?? declared.lengthBytes;
    if (declared.lengthBytes !== received.lengthBytes || received.lengthBytes !== announcedBytes) {
      throw integrity("LENGTH_MISMATCH", `has ${received.lengthBytes} bytes where ${announcedBytes} were announced`);
    }
    if (!equalBytes(declared.digest, received.digest)) throw integrity("DIGEST_MISMATCH", "does not match its digest");
    return received;
  }

  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const digester = createBlockDigester();
    let receivedBytes = 0;
    const patience = createPatience(parts, exactBytes !== undefined);
    try {
      while (!summary) {
        const item = await patience.receive();
        if (item.kind === "message") {
          throw new IntercloudError("UNEXPECTED_FRAME", "bad-request", "a message came in the middle of a body");
        }
        if (item.kind === "end") {
          summary = check(
            { lengthBytes: receivedBytes, digest: digestOfBlocks(digester.blockDigests()) },
            item.summary,
          );
          return;
        }
        if (item.bytes.length === 0) continue; // the sender's source is silent
        receivedBytes += item.bytes.length;
        patience.earn(item.bytes.length);
        if (receivedBytes > maxBytes) throw integrity("TOO_LONG", `goes on after its ${maxBytes} bytes`);
        digester.add(item.bytes);
        yield item.bytes;
      }
    } catch (error) {
      if (error instanceof IntercloudError) abort(error);
      throw error;
    } finally {
      if (!summary) abandon();
    }
  }

  return {
    [Symbol.asyncIterator]() {
      if (started) throw new IntercloudError("BODY_CONSUMED", "internal", "a body can be iterated once");
      started = true;
      return pieces();
    },
    summary() {
      if (!summary)
        throw new IntercloudError("BODY_UNFINISHED", "internal", "this body has not been checked to its end");
      return summary;
    },
  };
}

/**
 * How long we wait for a body of known length: all its silences together may take one idle time and what its bytes take on the slowest
 * link. A body whose sender does not know its length may rest for as long as it gives signs of life.
 */
function createPatience({ receive, clock, idleTimeoutMs }: BodyParts, isOfKnownLength: boolean) {
  let leftMs = idleTimeoutMs;
  return {
    async receive(): Promise<IncomingItem> {
      if (!isOfKnownLength) return await receive(idleTimeoutMs);
      const askedAtMs = clock.nowMs();
      const item = await receive(Math.max(0, Math.ceil(Math.min(leftMs, idleTimeoutMs))));
      // the clock may have been set meanwhile; no wait is longer
      leftMs -= Math.max(0, Math.min(clock.nowMs() - askedAtMs, idleTimeoutMs));
      return item;
    },
    earn(lengthBytes: number): void {
      leftMs += (1_000 * lengthBytes) / MIN_BODY_BYTES_PER_SECOND;
    },
  };
}
