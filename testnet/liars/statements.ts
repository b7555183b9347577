/** Lies in what is signed: digests, links, what home keeps, answers of another round. */
import { bodyDigest } from "../../protocols/crypto/block-digest.ts";
import { equalBytes } from "../../protocols/crypto/digest.ts";
import { retrieveContentShape } from "../../protocols/custody/messages.ts";
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import { loadServing } from "../../protocols/custody/server/serving.ts";
import { uncheckedContent } from "../../protocols/identity/request.ts";
import { decodeDescriptor, descriptorHash } from "../../protocols/rounds/descriptor.ts";
import { signAnswer } from "../../protocols/tokens/answer.ts";
import { decodeLink, encodeLink, readKeeping, readLink, signKeeping, signLink } from "../../protocols/tokens/link.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import { parseShape } from "../../protocols/wire/shape.ts";
import type { AskHandler, Handlers } from "../../protocols/wire/transport.ts";
import { fieldsOf, isAsked, isBytes } from "./asked.ts";
import { answering, bent, bentChannel, bentOpen, isLinks } from "./bend.ts";
import type { Liar, ProviderLie } from "./lie.ts";

type ProviderLiar = Liar<CustodyProvider>;

const GETS = new Set(["read", "retrieve"]);
const DIGEST_BYTES = 32;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A link with another digest of what went out, signed by whoever lies. */
function relinked({ honest, entropy }: ProviderLiar, link: Uint8Array): Uint8Array {
  const { statement } = readLink(link);
  return signLink(encodeLink({ ...statement, digestOut: entropy(DIGEST_BYTES) }), honest.signer);
}

function wrongDigestInDeposits(liar: ProviderLiar): ReturnType<ProviderLie["begin"]> {
  const { honest, entropy, lied } = liar;
  /** What it should have said, by what it said. */
  const trueDigests = new Map<string, Uint8Array>();
  const place = (answer: AskHandler): AskHandler => {
    return async (body, context) => {
      const said = fieldsOf(await answer(body, context));
      const digestOut = entropy(DIGEST_BYTES);
      if (isBytes(said["digestOut"])) trueDigests.set(hex(digestOut), said["digestOut"]);
      lied();
      return { ...said, digestOut };
    };
  };
  const link = (answer: AskHandler): AskHandler => {
    return async (body, context) => {
      const asked = fieldsOf(body);
      if (!isBytes(asked["statement"])) return await answer(body, context);
      const statement = decodeLink(asked["statement"]);
      const digestOut = trueDigests.get(hex(statement.digestOut)) ?? statement.digestOut;
      const said = fieldsOf(
        await answer({ ...asked, statement: encodeLink({ ...statement, digestOut }) } as CborValue, context),
      );
      lied();
      return { ...said, link: signLink(asked["statement"], honest.signer) };
    };
  };
  const seal = (answer: AskHandler): AskHandler => {
    return async (body, context) => await answer(body, context).catch((): CborValue => ({}));
  };
  const passedOn = (message: CborValue): CborValue => {
    const { links } = fieldsOf(message);
    if (!isLinks(links)) return message;
    lied();
    return { links: [...links.slice(0, -1), relinked(liar, links.at(-1)!)] };
  };
  const shown = (message: CborValue): CborValue => {
    const { link } = fieldsOf(message);
    if (!isBytes(link)) return message;
    lied();
    return { link: relinked(liar, link) };
  };
  return {
    parts: {
      transport: bentOpen(honest.transport, (_to, method) => (method === "pour" ? { message: passedOn } : undefined)),
    },
    handlers: (made) =>
      bent(answering(made, { place, link, seal }), {
        channel: (answer, method) =>
          method === "part"
            ? (channel, header, context) => answer(bentChannel(channel, { message: shown }), header, context)
            : undefined,
      }),
  };
}

/** It gives what it should, and signs that it gave something else. */
function wrongLink(liar: ProviderLiar, made: Handlers): Handlers {
  return answering(made, {
    link: (honest) => async (body, context) => {
      const said = fieldsOf(await honest(body, context));
      if (!isBytes(said["link"])) return said;
      liar.lied();
      return { ...said, link: relinked(liar, said["link"]) };
    },
  });
}

/** In a get it signs something else than it sends. */
function wrongDigest({ honest: { signer }, lied }: ProviderLiar): ReturnType<ProviderLie["begin"]> {
  const sign: typeof signer.sign = (domain, message) => {
    if (!isAsked(GETS)) return signer.sign(domain, message);
    lied();
    const other = message.slice();
    other[other.length - 1]! ^= 1;
    return signer.sign(domain, other);
  };
  return { parts: { signer: { ...signer, sign } } };
}

/** What it says of its share, and of the ciphertext, when a deposit is checked. */
function wrongFingerprint({ entropy, lied }: ProviderLiar, made: Handlers): Handlers {
  const changed = (said: CborValue | undefined): CborValue => {
    const { share, ciphertext } = fieldsOf(said ?? null);
    const other = (bytes: CborValue | undefined) => (isBytes(bytes) ? entropy(bytes.length) : null);
    lied();
    return { share: other(share), ciphertext: other(ciphertext) };
  };
  return answering(made, {
    check: (honest) => async (body, context) => changed(await honest(body, context)),
    link: (honest) => async (body, context) => {
      const said = fieldsOf(await honest(body, context));
      return { ...said, fingerprints: changed(said["fingerprints"]) };
    },
  });
}

/** Home's statement with another digest of what it keeps. */
export function otherKeeping({ honest, entropy }: ProviderLiar, keeping: Uint8Array): Uint8Array {
  const { statement } = readKeeping(keeping);
  return signKeeping({ ...statement, digestKept: entropy(DIGEST_BYTES) }, honest.signer);
}

function wrongKeeping(liar: ProviderLiar, made: Handlers): Handlers {
  return answering(made, {
    link: (honest) => async (body, context) => {
      const said = fieldsOf(await honest(body, context));
      if (!isBytes(said["keeping"])) return said;
      liar.lied();
      return { ...said, keeping: otherKeeping(liar, said["keeping"]) };
    },
  });
}

/** Its answer to an earlier question about the same deposit. @param isSignedAnew for the round that it is asked in now */
function replayed({ honest, lied }: ProviderLiar, made: Handlers, isSignedAnew: boolean): Handlers {
  const earlier = new Map<string, Uint8Array>();
  const signatures = new Map<string, CborValue>();
  return answering(made, {
    read: (answer) => async (body, context) => {
      const said = fieldsOf(await answer(body, context));
      const { request } = fieldsOf(body);
      if (!isBytes(request) || !isBytes(said["bytes"])) return said;
      const { descriptor: encoded } = parseShape(retrieveContentShape, uncheckedContent(request), "request");
      const { tokenId, dealId, offsetBytes } = decodeDescriptor(encoded);
      const key = `${hex(dealId)} ${offsetBytes}`;
      const bytes = earlier.get(key);
      const signature = signatures.get(key);
      if (bytes === undefined || signature === undefined || equalBytes(bytes, said["bytes"])) {
        earlier.set(key, said["bytes"].slice());
        signatures.set(key, said["signature"] ?? null);
        return said;
      }
      lied();
      if (!isSignedAnew) return { bytes, signature };
      const { placement } = await loadServing(honest.store, tokenId, dealId);
      const keepingDigest = placement.kept!.keepingDigest;
      const roundHash = descriptorHash(encoded);
      return {
        bytes,
        signature: signAnswer(honest.signer, { roundHash, keepingDigest, offsetBytes, digest: bodyDigest(bytes) }),
      };
    },
  });
}

export const STATEMENT_LIES: readonly ProviderLie[] = [
  {
    name: "wrong-digest",
    about: "signs another digest than that of what it answers",
    isAttributable: false,
    begin: wrongDigest,
  },
  {
    name: "wrong-digest-in-deposits",
    about: "signs a link with another digest than that of the part that it gave",
    isAttributable: false,
    begin: wrongDigestInDeposits,
  },
  {
    name: "wrong-link",
    about: "signs another link than it was asked to, in a short deposit",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => wrongLink(liar, made) }),
  },
  {
    name: "wrong-fingerprint",
    about: "tells another fingerprint of its share, and of the ciphertext, than theirs",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => wrongFingerprint(liar, made) }),
  },
  {
    name: "wrong-keeping",
    about: "signs, as home, that it keeps another sum than it does",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => wrongKeeping(liar, made) }),
  },
  {
    name: "replay",
    about: "answers with what it answered in an earlier round",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => replayed(liar, made, false) }),
  },
  {
    name: "replay-signed-anew",
    about: "answers with what it answered in an earlier round, and signs it for this one",
    isAttributable: true,
    begin: (liar) => ({ handlers: (made) => replayed(liar, made, true) }),
  },
];
