/** Lies in what is shown of a deposit: its proof, its chain, what is left of one that was destroyed. */
import { encodeDestroyed } from "../../protocols/custody/destroyed.ts";
import { encodeProof, type Proof } from "../../protocols/custody/proof.ts";
import { destroyRequestDigest, signReceipt } from "../../protocols/custody/receipt.ts";
import { proofParts } from "../../protocols/custody/server/deposit-record.ts";
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import { readKeeping } from "../../protocols/tokens/link.ts";
import { encodeToken } from "../../protocols/tokens/token.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import type { AskHandler, Handlers } from "../../protocols/wire/transport.ts";
import { askedDeposit } from "./answers.ts";
import { fieldsOf, isBytes } from "./asked.ts";
import { answering, bentOpen, isLinks } from "./bend.ts";
import type { Liar, ProviderLie } from "./lie.ts";
import { otherKeeping } from "./statements.ts";

type ProviderLiar = Liar<CustodyProvider>;

/** What a proof is shown as. Undefined: as it is. */
function showing(
  liar: ProviderLiar,
  made: Handlers,
  shownAs: (parts: Proof, from: string) => Proof | "nothing" | undefined,
): Handlers {
  return answering(made, {
    show: (honest) => async (body, context) => {
      const said = fieldsOf(await honest(body, context));
      const deposit = await askedDeposit(liar.honest.store);
      const parts = deposit && proofParts(deposit.record);
      const shown = parts && shownAs(parts, context.from);
      if (shown === undefined) return said;
      liar.lied();
      if (shown === "nothing") throw new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "a lie");
      return { ...said, proof: encodeProof(shown) };
    },
  });
}

/** Every second one who asks is told another story. */
function twoStories(liar: ProviderLiar, made: Handlers): Handlers {
  const askers = new Map<string, number>();
  const isTold = (from: string) => {
    const count = askers.get(from) ?? askers.size;
    askers.set(from, count);
    return count % 2 === 1;
  };
  const shown = showing(liar, made, (parts, from) => {
    if (!isTold(from)) return undefined;
    const isHome = readKeeping(parts.keeping).statement.peer === liar.honest.transport.peer;
    return isHome ? { ...parts, keeping: otherKeeping(liar, parts.keeping) } : "nothing";
  });
  return answering(shown, {
    ready: (honest) => async (body, context) => {
      const said = await honest(body, context);
      if (!isTold(context.from)) return said;
      liar.lied();
      return { held: [] };
    },
  });
}

/** Leaves its own link out, or puts in one of another deposit. */
function truncatedChain(liar: ProviderLiar): ReturnType<ProviderLie["begin"]> {
  const { honest, lied } = liar;
  /** The last chain of another deposit that it showed. */
  let other: Proof | undefined;
  let count = 0;
  const shownAs = (parts: Proof): Proof => {
    const foreign = other?.links.at(-1);
    other = parts;
    count += 1;
    const links = parts.links.slice(0, -1);
    return { ...parts, links: foreign !== undefined && count % 2 === 0 ? [...links, foreign] : links };
  };
  const passedOn = (message: CborValue): CborValue => {
    const { links } = fieldsOf(message);
    if (!isLinks(links)) return message;
    lied();
    return { links: links.slice(0, -1) };
  };
  return {
    parts: {
      transport: bentOpen(honest.transport, (_to, method) => (method === "pour" ? { message: passedOn } : undefined)),
    },
    handlers: (made) => showing(liar, made, shownAs),
  };
}

/** A receipt for another request than the owner's to destroy it, or no receipt at all. */
function falseReceipt({ honest, clock, entropy, lied }: ProviderLiar, made: Handlers): Handlers {
  const forged = async (request: Uint8Array): Promise<Uint8Array> => {
    const deposit = await askedDeposit(honest.store);
    if (deposit === undefined) return entropy(200);
    const { terms, record } = deposit;
    const receipt = signReceipt(
      {
        ...{ version: 1, tokenId: terms.tokenId, peer: honest.transport.peer, timeMs: clock.nowMs() },
        removed: { share: true, ciphertext: record.holdsCiphertext },
        requestDigest: destroyRequestDigest(request),
      },
      honest.signer,
    );
    const { manifest, change } = record;
    return encodeDestroyed({ token: encodeToken(terms.token), manifest, change, request, receipt });
  };
  const destroyed = (): AskHandler => async (body) => {
    lied();
    const { request } = fieldsOf(body);
    return { destroyed: isBytes(request) ? await forged(request) : entropy(200) };
  };
  const gone = (): AskHandler => async () => {
    lied();
    throw new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "a lie");
  };
  const nothing = (): AskHandler => async () => {
    lied();
    return { destroyed: entropy(200) };
  };
  return answering(made, { show: destroyed, grants: destroyed, destroy: nothing, ready: gone, read: gone });
}

export const PROOF_LIES: readonly ProviderLie[] = [
  {
    name: "two-stories",
    about: "shows every second reader another closing statement of the same deposit, or none",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => twoStories(liar, made) }),
  },
  {
    name: "truncated-chain",
    about: "shows and passes on chains without its link, or with one of another deposit",
    isAttributable: false,
    begin: truncatedChain,
  },
  {
    name: "false-receipt",
    about: "says that a deposit was destroyed, with a receipt that is none",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => falseReceipt(liar, made) }),
  },
];
