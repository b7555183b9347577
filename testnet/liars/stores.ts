/** Lies on the disk: another share or ciphertext than the provider was given, and a disk that is what it was before. */
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import { heldDealKey } from "../../protocols/dealing/held-deal.ts";
import type { BodyStore, Change, Store } from "../../protocols/storage/index.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../protocols/wire/codec.ts";
import type { Handlers } from "../../protocols/wire/transport.ts";
import { uncheckedAccount } from "./accounts.ts";
import { fieldsOf, isAsked, isBytes, question, tokenAskedAbout } from "./asked.ts";
import { bent } from "./bend.ts";
import type { Liar, ProviderLie, Substitutes } from "./lie.ts";

type ProviderLiar = Liar<CustodyProvider>;

const DEAL_PREFIX = heldDealKey(new Uint8Array());

/** Where a share of a sealed deposit goes. */
const USES_OF_SHARE = new Set(["read", "retrieve", "account", "repair-part", "change-part", "change-transfer"]);

/** The share of every sealed deposit is another one. */
function otherShares({ honest: { store }, lied }: ProviderLiar): Store {
  return {
    ...store,
    async get(key) {
      const value = await store.get(key);
      const other = value !== undefined && key.startsWith(DEAL_PREFIX) ? withOtherSeed(value) : undefined;
      if (other !== undefined && isAsked(USES_OF_SHARE)) lied();
      return other ?? value;
    },
  };
}

/** The record of a deal with another seed, if its deposit is sealed. */
function withOtherSeed(value: Uint8Array): Uint8Array | undefined {
  const record = fieldsOf(decodeCanonical(value));
  const { seed, state, lot } = record;
  if (!isBytes(seed) || (state !== "sealed" && lot === undefined)) return undefined;
  return encodeCanonical({ ...record, seed: seed.map((byte) => byte ^ 1) } as CborValue);
}

/** Where a ciphertext, or an envelope, goes when its deposit is made. */
const USES_OF_CIPHERTEXT = new Set([
  ...["read", "retrieve", "account", "repair-ciphertext", "change-ciphertext", "change-transfer"],
]);
const USES_OF_ENVELOPE = new Set(["read-envelope", "repair-envelope", "change-envelope"]);

/** What it gives out of the bodies whose name begins so is something else, and the same whenever it is asked. */
function otherBodies(
  { honest: { store }, lied }: ProviderLiar,
  { prefix, uses }: { readonly prefix: string; readonly uses: ReadonlySet<string> },
): Store {
  const read: BodyStore["read"] = async function* (name, offsetBytes) {
    const isOther = name.startsWith(prefix) && isAsked(uses);
    let at = offsetBytes;
    for await (const chunk of store.bodies.read(name, offsetBytes)) {
      for (let i = 0; isOther && i < chunk.length; i += 1) if ((at + i) % WRONG_EVERY_BYTES === 0) chunk[i]! ^= 1;
      if (isOther) lied();
      at += chunk.length;
      yield chunk;
    }
  };
  return { ...store, bodies: { ...store.bodies, read } };
}

/** So that every block of what is read is wrong somewhere; no ciphertext is shorter. */
const WRONG_EVERY_BYTES = 32;

/** What the provider answers for, and has undone as soon as it has answered. */
const UNDONE = new Set(["seal", "grant", "change-retire", "destroy"]);
/** What belongs to it: a change is undone from its beginning on. */
const BEGINNINGS = new Set(["change-prepare"]);

/** Goes back to what its disk was before, each time that something was acknowledged. */
function restoredSnapshot({ honest: { store }, lied }: ProviderLiar): Substitutes<CustodyProvider> {
  /** By deposit: what was there before, for all that was written since the snapshot. */
  const snapshots = new Map<string, Map<string, Uint8Array | undefined>>();
  const keyAsked = () => {
    const asked = question();
    const tokenId = asked && tokenAskedAbout(asked);
    return tokenId && Buffer.from(tokenId).toString("hex");
  };
  const take = (key: string | undefined) => {
    if (key !== undefined) snapshots.set(key, new Map());
  };
  const restore = async (key: string | undefined) => {
    const before = key === undefined ? undefined : snapshots.get(key);
    if (key === undefined || before === undefined) return;
    snapshots.delete(key);
    const changes = [...before].map(
      ([name, value]): Change =>
        value === undefined ? { kind: "delete", key: name } : { kind: "put", key: name, value },
    );
    if (changes.length === 0) return;
    await store.commit(changes);
    lied();
  };
  const lying: Store = {
    ...store,
    async commit(changes) {
      const before = snapshots.get(keyAsked() ?? "");
      for (const change of before === undefined ? [] : changes) {
        if (change.kind !== "put" && change.kind !== "delete") continue;
        if (!before!.has(change.key)) before!.set(change.key, await store.get(change.key));
      }
      await store.commit(changes);
    },
    bodies: {
      ...store.bodies,
      async remove(name) {
        if (!snapshots.has(keyAsked() ?? "")) await store.bodies.remove(name);
      },
    },
  };
  const handlers = (made: Handlers): Handlers =>
    bent(made, {
      ask: (honest, method) => async (body, context) => {
        const key = keyAsked();
        if (BEGINNINGS.has(method) || (UNDONE.has(method) && !snapshots.has(key ?? ""))) take(key);
        try {
          const answer = await honest(body, context);
          if (UNDONE.has(method)) await restore(key);
          return answer;
        } finally {
          if (UNDONE.has(method)) snapshots.delete(key ?? "");
        }
      },
    });
  return { parts: { store: lying }, handlers };
}

export const STORE_LIES: readonly ProviderLie[] = [
  {
    name: "wrong-share",
    about: "has another share than it was dealt, as soon as a deposit is made, and stands by it",
    isAttributable: true,
    begin: (liar) => ({
      parts: { store: otherShares(liar) },
      handlers: (made, _protocol, own) => standingByIt(made, own),
    }),
  },
  {
    name: "wrong-ciphertext",
    about: "gives out another ciphertext than the one that it keeps, and stands by it",
    isAttributable: true,
    begin: (liar) => ({
      parts: { store: otherBodies(liar, { prefix: "ciphertext-", uses: USES_OF_CIPHERTEXT }) },
      handlers: (made, _protocol, own) => standingByIt(made, own),
    }),
  },
  {
    name: "wrong-envelope",
    about: "gives out another envelope than the one that it keeps",
    isAttributable: false,
    begin: (liar) => ({
      parts: { store: otherBodies(liar, { prefix: "envelope-", uses: USES_OF_ENVELOPE }) },
    }),
  },
  {
    name: "restored-snapshot",
    about: "acknowledges a deposit, a grant, a change or a destruction, and then has its disk as it was before",
    isAttributable: false,
    begin: restoredSnapshot,
  },
];

function standingByIt(made: Handlers, own: CustodyProvider): Handlers {
  return bent(made, { channel: (_, method) => (method === "account" ? uncheckedAccount(own) : undefined) });
}
