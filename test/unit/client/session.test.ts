import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { renewedSessions } from "../../../client/session.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { checkTag } from "../../../protocols/identity/index.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const MINUTE_MS = 60_000;

test("one tag serves many requests, and is renewed well before it ends", async () => {
  const clock = createManualClock();
  const session = renewedSessions(newSigner(entropy), clock, entropy);
  const first = session();
  await clock.advance(49 * MINUTE_MS);
  expect(session()).toBe(first);
  for (let minute = 49; minute < 300; minute += 7) {
    await clock.advance(7 * MINUTE_MS);
    const { tag, identity } = session();
    expect(checkTag(tag, "deposit", clock.nowMs() + 5 * MINUTE_MS).identity).toBe(identity);
    expect(identity).toBe(first.identity);
  }
  expect(session().signer.publicKey).not.toEqual(first.signer.publicKey);
});

test("a clock that was set back does not leave us with a tag of the future", () => {
  let nowMs = 1_700_000_000_000;
  const session = renewedSessions(newSigner(entropy), { nowMs: () => nowMs, after: () => () => {} }, entropy);
  session();
  nowMs -= 20 * MINUTE_MS;
  expect(() => checkTag(session().tag, "deposit", nowMs)).not.toThrow();
});
