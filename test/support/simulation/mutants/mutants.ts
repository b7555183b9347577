/**
 * Mistakes that somebody could make in our code, or that a disk could have, each as a change of one source file. The simulation has to find
 * every one of them out: a checker that never failed proves nothing. `patched.ts` puts one in force, in a process of its own.
 */

export interface Mutant {
  readonly name: string;
  /** What is wrong with it, in plain words. */
  readonly about: string;
  readonly patch: Patch;
}

export interface Patch {
  readonly file: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  /** Must be in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const MUTANT_VARIABLE = "INTERCLOUD_SIMULATED_MUTANT";

const mutant = (name: string, about: string, file: string, ...edits: readonly Edit[]): Mutant => ({
  ...{ name, about },
  patch: { file, edits },
});

export const MUTANTS: readonly Mutant[] = [
  mutant(
    "no-sync",
    "a disk answers before it has written: who is killed then has not",
    "test/support/simulation/disk.ts",
    {
      find: 'import type { Store } from "../../../protocols/storage/index.ts";',
      replace:
        'import type { Store } from "../../../protocols/storage/index.ts"; import * as forgetful from "./mutants/forgetful.ts";',
    },
    { find: "  const takeTime = () =>", replace: "  forgetful.opening(disk);\n  const takeTime = () =>" },
    { find: "    await action();", replace: "    forgetful.writing(disk, clock);\n    await action();" },
  ),
  mutant("torn-commit", "a commit is not whole: who is killed in it leaves a part", "test/support/simulation/disk.ts", {
    find: "() => disk.commit(changes),",
    replace:
      'async () => { for (const change of changes) { await takeTime(); onWrite("after"); if (isDead()) return await NEVER; await disk.commit([change]); } },',
  }),
  mutant(
    "digest-unchecked",
    "a reader takes what the providers sent as it comes",
    "protocols/custody/client/checked-blocks.ts",
    {
      find: "if (!equalBytes(digest, header.blockDigests.subarray(start, start + DIGEST_BYTES))) throw new WrongBytes();",
      replace: "void start;",
    },
  ),
  mutant(
    "mask-left-out",
    "providers and users make the same mask in each round",
    "protocols/rounds/masks.ts",
    {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a source file
      find: "deriveKey(secret, descriptorHash, `intercloud/${use}/v1 ${provider.point} ${provider.peer}`);",
      replace: 'deriveKey(new Uint8Array(32), new Uint8Array(32), "intercloud/mask");',
    },
    {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a source file
      find: "deriveKey(secret, descriptorHash, `intercloud/mask/v1 ${provider.point} ${provider.peer}`);",
      replace: 'deriveKey(new Uint8Array(32), new Uint8Array(32), "intercloud/mask");',
    },
  ),
  mutant("grant-never-expires", "a provider does not look when a grant expires", "protocols/custody/server/access.ts", {
    find: "if (isExpired(grant, provider.clock.nowMs())) {",
    replace: "if (isExpired(grant, 0)) {",
  }),
  mutant("no-owner-check", "a provider gives a deposit to whoever asks", "protocols/custody/server/access.ts", {
    find: "if (token.owner === identity) return null;",
    replace: "if (token.owner !== undefined) return null;",
  }),
  mutant(
    "revoke-ignored",
    "a provider keeps the first list of readers that it was given",
    "protocols/custody/server/grants.ts",
    {
      find: "if (before !== undefined && compareGrants(offered.list, before.list) <= 0) return { before, now: before };",
      replace: "if (before !== undefined) return { before, now: offered };",
    },
  ),
  mutant(
    "destroyed-is-kept",
    "a provider signs the receipt of a destroy and keeps the share",
    "protocols/custody/server/destroy.ts",
    {
      find: "      ...(await forgottenChanges(store, deposit)),\n      ...burntDealChanges(dealId),\n      tombstoneChange(tokenId, destroyed),\n",
      replace: "",
    },
  ),
  mutant("never-burnt", "what was bound and not sealed is never given up", "protocols/custody/server/burn.ts", {
    find: 'if (deposit === undefined || deposit.record.state === "sealed") return;',
    replace: "if (deposit !== undefined) return;",
  }),
  mutant("wrong-culprit", "a reader accuses whoever is first in the round", "protocols/custody/client/blame.ts", {
    find: "if (found !== undefined) accusations.push(found);",
    replace: "if (found !== undefined) accusations.push({ ...found, accused: round.descriptor.members[0]!.peer });",
  }),
  mutant("liar-unnamed", "a reader tries others and tells nobody who lied", "protocols/custody/client/blame.ts", {
    find: "if (found !== undefined) accusations.push(found);",
    replace: "void found;",
  }),
  mutant("seal-unlogged", "a provider does not log that it sealed a deposit", "protocols/custody/server/seal.ts", {
    find: '    auditChange({ kind: "sealed", tokenId: terms.tokenId, identity: terms.token.owner }),\n',
    replace: "",
  }),
  mutant(
    "change-unchecked",
    "an owner closes a refresh or move without having read it back",
    "protocols/custody/client/change.ts",
    {
      find: "  await checkGeneration(user, { token, tokenId, placement }, roundPeers(change.round), ownShares, signal);\n",
      replace: "",
    },
  ),
  mutant("no-deadline", "whoever asks waits for ever", "protocols/wire/control-client.ts", {
    find: "const disarm = clock.after(call.timeoutMs, () => giveUp(timedOut(to, call.timeoutMs)));",
    replace: "const disarm = () => {};",
  }),
  mutant("unsettled", "providers leave undone what a dead client began", "protocols/custody/server/settle.ts", {
    find: "  await settleLinked(provider, signal);\n  await settleLots(provider, signal);\n  await settleChanges(provider, signal);\n",
    replace: "",
  }),
];

/** @throws Error when there is none of this name. */
export function mutantOf(name: string): Mutant {
  const found = MUTANTS.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no mutant "${name}"`);
  return found;
}
