/** Faulty parts in the place of good ones. Each of them has to be found out; a harness that finds nothing wrong with them finds nothing. */
import { tellDues } from "../../../protocols/custody/server/dues.ts";
import type { Change, Store } from "../../../protocols/storage/index.ts";
import type { MemoryStore } from "../memory-store.ts";
import type { Life } from "./life.ts";
import type { Substitutes } from "./world.ts";

export interface Mutant extends Substitutes {
  readonly name: string;
  /** In which it is found. */
  readonly operation: string;
  /** And at steps of this kind. */
  readonly near: string;
}

/** One change after the other, each of which lasts: a kill leaves some of them. */
function tearing(store: Store): Store {
  return {
    ...store,
    async commit(changes) {
      for (const change of changes) await store.commit([change]);
    },
  };
}

/** How long the faulty disks take to do what they say they have done. */
const LATE_TURNS = 5;

async function late(action: () => void): Promise<void> {
  for (let turns = 0; turns < LATE_TURNS; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  action();
}

/** Answers before it is on the platter: a kill takes the last commit back. */
function forgetting(store: Store, disk: MemoryStore, life: Life): Store {
  let undo = () => {};
  life.atKill(() => undo());
  return {
    ...store,
    async commit(changes) {
      const before = changes.flatMap((change) => (change.kind === "append" ? [] : [beforeOf(disk, change)]));
      const events = disk.events.length;
      await store.commit(changes);
      const undoThis = () => {
        for (const [kept, key, value] of before) {
          if (value === undefined) kept.delete(key);
          else kept.set(key, value);
        }
        disk.events.length = events;
      };
      undo = undoThis;
      void late(() => {
        if (undo === undoThis) undo = () => {};
      });
    },
  };
}

function beforeOf(disk: MemoryStore, change: Exclude<Change, { kind: "append" }>) {
  const [kept, key] = change.kind === "body" ? [disk.files, change.name] : [disk.records, change.key];
  return [kept, key, kept.get(key)] as const;
}

/** Says that a body is gone before it is: a kill brings it back. */
function clinging(store: Store, disk: MemoryStore, life: Life): Store {
  const removed = new Map<string, Uint8Array>();
  life.atKill(() => {
    for (const [name, bytes] of removed) disk.files.set(name, bytes);
  });
  const { bodies } = store;
  return {
    ...store,
    bodies: {
      ...bodies,
      async remove(name) {
        const bytes = disk.files.get(name);
        if (bytes !== undefined) removed.set(name, bytes);
        await bodies.remove(name);
        void late(() => removed.delete(name));
      },
    },
  };
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "a store whose commits are not atomic",
    operation: "put (chain, Protocol 3)",
    near: "commit",
    store: tearing,
  },
  {
    ...{ name: "a store that answers before it has written", operation: "put (chain, Protocol 3)" },
    ...{ near: "put owner", store: forgetting },
  },
  {
    ...{ name: "a store that answers before it has removed", operation: "refresh" },
    ...{ near: "commit delete deal-open", store: clinging },
  },
  {
    ...{ name: "providers that leave undone what a dead client began", operation: "refresh" },
    ...{ near: "change-retire", settle: tellDues },
  },
];
