/** A body being received: its pieces as they arrive, and nothing counts before the END frame has been checked. */
import { createBlockDigester, digestOfBlocks } from "../crypto/block-digest.ts";
import { equalBytes } from "../crypto/digest.ts";
import { IntercloudError } from "./errors.ts";
import type { IncomingItem } from "./incoming.ts";
import type { BodySummary, IncomingBody, PeerName, ReceiveOptions } from "./transport.ts";

interface BodyParts {
  readonly peer: PeerName;
  readonly expected: ReceiveOptions;
  receive(): Promise<IncomingItem>;
  /** Ends the channel and tells the peer. */
  abort(reason: IntercloudError): void;
  /** The consumer left before the end: nothing more can be received on the channel. */
  abandon(): void;
}

export function createIncomingBody({ peer, expected, receive, abort, abandon }: BodyParts): IncomingBody {
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
    try {
      while (!summary) {
        const item = await receive();
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
