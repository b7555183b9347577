import { describe, expect, it } from "vitest";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { MAX_STEP_BYTES } from "../../../protocols/dealing/constants.ts";
import { type Deal, dealShares } from "../../../protocols/dealing/deal.ts";
import { type Recipient, sendCorrections } from "../../../protocols/dealing/hand-out.ts";
import { scalarKernel } from "../../../protocols/field/index.ts";
import { IntercloudError, RemoteError } from "../../../protocols/wire/errors.ts";
import type { BodySummary, Channel, Transport } from "../../../protocols/wire/transport.ts";
import { newParty } from "./dealt.ts";
import { seededEntropy } from "./seeded.ts";

/** What the share of every provider comes to, as the dealer knows it. */
const DIGEST = new Uint8Array(32);

type SendBody = (source: AsyncIterable<Uint8Array>, failed: AbortSignal) => Promise<BodySummary>;

/** A transport on which each provider takes its correction in its own way. */
function transportOf(ways: ReadonlyMap<string, SendBody>, answers: ReadonlyMap<string, Uint8Array>): Transport {
  const unused = () => {
    throw new Error("not expected");
  };
  return {
    peer: "dealer",
    ask: async () => ({}),
    serve: unused,
    close: unused,
    async open(peer): Promise<Channel> {
      const failed = new AbortController();
      return {
        peer,
        sendMessage: unused,
        receiveMessage: async () => ({ digest: answers.get(peer) ?? DIGEST }),
        receiveBody: unused,
        sendBody: (source) => (ways.get(peer) as SendBody)(source, failed.signal),
        close: async () => {},
        abort: (reason) => failed.abort(reason),
      };
    },
  };
}

/** Takes nothing until the channel is given up. */
const stuck: SendBody = (_source, failed) =>
  new Promise((_resolve, reject) => {
    failed.addEventListener("abort", () => reject(failed.reason), { once: true });
  });

const takesAll: SendBody = async (source) => {
  let lengthBytes = 0;
  for await (const chunk of source) lengthBytes += chunk.length;
  return { lengthBytes, digest: new Uint8Array(32) };
};

/** Takes what comes and fails when nothing comes any more, or after some chunks. */
const failsWith =
  (error: () => Error, afterChunks: number): SendBody =>
  async (source) => {
    let chunks = 0;
    for await (const _chunk of source) if (++chunks === afterChunks) throw error();
    throw new Error("it should have failed before");
  };

const recipients = Array.from({ length: 3 }, (_, index): Recipient => {
  const { peer, agreementKey } = newParty();
  return { point: index + 1, peer, agreementKey: agreementKey.publicKey };
});
const corrected = recipients.slice(1);
const [first, second] = corrected.map(({ peer }) => peer) as [string, string];

function send(
  ways: readonly [SendBody, SendBody],
  change: Partial<Deal> = {},
  signal = new AbortController().signal,
  answers: ReadonlyMap<string, Uint8Array> = new Map(),
) {
  const lengthBytes = 20 * MAX_STEP_BYTES;
  const transport = transportOf(
    new Map([
      [first, ways[0]],
      [second, ways[1]],
    ]),
    answers,
  );
  const options = { threshold: 2, providers: 3, lengthBytes };
  const sealedSeedOf = () => new Uint8Array(80);
  const deal = dealShares({ ...options, entropy: seededEntropy(1), keystream: aesKeystream, kernel: scalarKernel });
  const handOut = {
    transport,
    dealId: new Uint8Array(16),
    lengthBytes,
    threshold: 2,
    recipients,
    sealedSeedOf,
    signal,
  };
  return sendCorrections(
    handOut,
    { ...deal, ...change },
    () => DIGEST,
    () => {},
  );
}

describe("long corrections", () => {
  it("go to all providers that take them", async () => {
    expect(await send([takesAll, takesAll])).toEqual(new Map());
  });

  it("that one provider does not take are its fault, and not that of one that starved meanwhile", async () => {
    const starved = failsWith(() => new RemoteError(second, "timeout"), 4);
    await expect(send([stuck, starved])).rejects.toMatchObject({
      code: "PROVIDERS_FAILED",
      details: { peers: [first], answered: 2, needed: 3 },
    });
  });

  it("that fail for another reason are the fault of whoever failed, also when another is slow", async () => {
    const full = failsWith(() => new RemoteError(second, "full"), 4);
    await expect(send([stuck, full])).rejects.toMatchObject({ details: { peers: [second] } });
  });

  it("blame nobody when our own side fails", async () => {
    const step = () => {
      throw new IntercloudError("BROKEN", "internal", "our own fault");
    };
    await expect(send([takesAll, takesAll], { step })).rejects.toMatchObject({ code: "BROKEN" });
  });

  it("end with the reason of the user who gave up", async () => {
    const abort = new AbortController();
    const sending = send([stuck, takesAll], {}, abort.signal);
    setImmediate(() => abort.abort(new IntercloudError("CANCELLED", "cancelled", "enough")));
    await expect(sending).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("of which a provider stored something else are its fault", async () => {
    const sending = send([takesAll, takesAll], {}, undefined, new Map([[second, new Uint8Array(32).fill(1)]]));
    await expect(sending).rejects.toMatchObject({ details: { peers: [second] } });
  });
});
