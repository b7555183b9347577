/** The store against a plain map, under random commits, purges, openings and full disks. */
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import type { OpenStore } from "../../../node/store/index.ts";
import { eventsIn } from "../../support/audit-log.ts";
import { contents, newFolder, open, removeFolders } from "./folder.ts";

afterEach(removeFolders);

const key = fc.oneof(
  fc.constantFrom("a", "a/1", "a/2", "b", "~", "!head", "\u{10ffff}", "é"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 6 }).filter((text) => text.isWellFormed()),
);
const change = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), key, value: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ kind: fc.constant("delete" as const), key }),
  fc.record({ kind: fc.constant("append" as const), event: fc.uint8Array({ maxLength: 40 }) }),
);
const changes = fc.array(change, { maxLength: 6 });
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("commit" as const), groups: fc.array(changes, { maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("purge" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reopen" as const), full: fc.boolean() }) },
);

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function expectSame(
  store: OpenStore,
  model: ReadonlyMap<string, Uint8Array>,
  events: readonly Uint8Array[],
): Promise<void> {
  const expected = [...model]
    .sort(([a], [b]) => byBytes(a, b))
    .map(([name, value]) => [name, Buffer.from(value).toString()]);
  expect(await contents(store)).toEqual(expected);
  expect(store.recordCount).toBe(model.size);
  for (const [name, value] of model) expect(await store.get(name)).toEqual(new Uint8Array(value));
  expect(await eventsIn(store.log)).toEqual(events.map((event) => new Uint8Array(event)));
}

test("the store behaves like a map that survives, and its log like a list", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const directory = await newFolder();
      const model = new Map<string, Uint8Array>();
      const events: Uint8Array[] = [];
      let full = false;
      let store = await open(directory);
      for (const action of steps) {
        if (action.kind === "purge") await store.purge();
        if (action.kind === "reopen") {
          await store.close();
          full = action.full;
          store = await open(directory, { reserveBytes: full ? Number.MAX_SAFE_INTEGER : 0 });
        }
        if (action.kind === "commit") {
          // All at once: they are coalesced, and count in the order in which they were asked for.
          const outcomes = await Promise.allSettled(action.groups.map((group) => store.commit(group)));
          const refused = action.groups.map((group) => full && group.some(({ kind }) => kind !== "delete"));
          expect(outcomes.map(({ status }) => status === "rejected")).toEqual(refused);
          for (const one of action.groups.filter((_, index) => !refused[index]).flat()) {
            if (one.kind === "put") model.set(one.key, one.value);
            else if (one.kind === "append") events.push(one.event);
            else model.delete(one.key);
          }
        }
        await expectSame(store, model, events);
      }
      await store.close();
    }),
    { numRuns: 30 },
  );
}, 60_000);
