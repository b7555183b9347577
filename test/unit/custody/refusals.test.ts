import { expect, test } from "vitest";
import { LOGGED_REFUSALS_AT_ONCE } from "../../../protocols/custody/constants.ts";
import { createRefusals } from "../../../protocols/custody/server/refusals.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryStore } from "../../support/memory-store.ts";

const asked = {
  ...{ tokenId: new Uint8Array(32), identity: "key:somebody", purpose: "retrieve", from: "a peer" },
  roundDigest: new Uint8Array(32).fill(1),
};
const refusal = new IntercloudError("NOT_THE_OWNER", "refused", "no");
const refuse = async () => {
  throw refusal;
};

function setUp() {
  const clock = createManualClock();
  const store = createMemoryStore();
  return { clock, store, refusals: createRefusals({ clock, store }) };
}

test("what is not refused passes and leaves no trace here", async () => {
  const { store, refusals } = setUp();
  expect(await refusals.watch(asked, async () => "fine")).toBe("fine");
  expect(store.events).toEqual([]);
});

test("an error of ours is named by its code, any other is not described", async () => {
  const { store, refusals } = setUp();
  await expect(refusals.watch(asked, refuse)).rejects.toBe(refusal);
  await expect(refusals.watch(asked, async () => Promise.reject(new TypeError("bug")))).rejects.toThrow("bug");
  expect(store.events).toEqual([
    { kind: "refused", ...asked, code: "NOT_THE_OWNER", unlogged: 0 },
    { kind: "refused", ...asked, code: "INTERNAL", unlogged: 0 },
  ]);
});

test("past a rate refusals are counted, and the next one that is logged says how many there were", async () => {
  const { clock, store, refusals } = setUp();
  for (let i = 0; i < LOGGED_REFUSALS_AT_ONCE + 50; i += 1) {
    await expect(refusals.watch(asked, refuse)).rejects.toBe(refusal);
  }
  expect(store.events).toHaveLength(LOGGED_REFUSALS_AT_ONCE);
  await clock.advance(1_000);
  await expect(refusals.watch(asked, refuse)).rejects.toBe(refusal);
  expect(store.events).toHaveLength(LOGGED_REFUSALS_AT_ONCE + 1);
  expect(store.events.at(-1)).toMatchObject({ unlogged: 50 });
  await clock.advance(1_000);
  await expect(refusals.watch(asked, refuse)).rejects.toBe(refusal);
  expect(store.events.at(-1)).toMatchObject({ unlogged: 0 });
});

test("a refusal that could not be written is counted by the next one", async () => {
  const { store, refusals } = setUp();
  const { commit } = store;
  const full = new IntercloudError("DISK_FULL", "full", "there is no room");
  store.commit = async () => {
    throw full;
  };
  await expect(refusals.watch(asked, refuse)).rejects.toBe(full);
  await expect(refusals.watch(asked, refuse)).rejects.toBe(full);
  store.commit = commit;
  await expect(refusals.watch(asked, refuse)).rejects.toBe(refusal);
  expect(store.events).toEqual([{ kind: "refused", ...asked, code: "NOT_THE_OWNER", unlogged: 2 }]);
});
