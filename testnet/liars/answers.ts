/** Lies in what is answered: refusals, false statements, and errors that name somebody else. */
import { CUSTODY_PROTOCOL } from "../../protocols/custody/constants.ts";
import { findDeposit } from "../../protocols/custody/server/deposit-record.ts";
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import { checkManifest, providersOf } from "../../protocols/dealing/manifest.ts";
import type { Store } from "../../protocols/storage/index.ts";
import { IntercloudError, type Status } from "../../protocols/wire/errors.ts";
import type { Handlers, PeerName } from "../../protocols/wire/transport.ts";
import { fieldsOf, isBytes, question, tokenAskedAbout } from "./asked.ts";
import { bent, isFirstWord, nowAndThen } from "./bend.ts";
import type { Liar, ProviderLie } from "./lie.ts";

type ProviderLiar = Liar<CustodyProvider>;

/** What it has of the deposit that it is asked about. */
export async function askedDeposit(store: Store) {
  const asked = question();
  const tokenId = asked && tokenAskedAbout(asked);
  return tokenId && (await findDeposit(store, tokenId));
}

/** Fails with this error in the place of an answer; undefined answers as it should. */
function failing(
  made: Handlers,
  { lied }: ProviderLiar,
  errorFor: (method: string) => Promise<IntercloudError | undefined>,
): Handlers {
  const lie = async (method: string) => {
    const error = isFirstWord(method) ? undefined : await errorFor(method);
    if (error === undefined) return;
    lied();
    throw error;
  };
  return bent(made, {
    ask: (honest, method) => async (body, context) => {
      await lie(method);
      return await honest(body, context);
    },
    channel: (honest, method) => async (channel, header, context) => {
      await lie(method);
      await honest(channel, header, context);
    },
  });
}

function always(status: Status, code: string, details = {}): ProviderLie["begin"] {
  const error = new IntercloudError(code, status, "a lie", details);
  return (liar) => ({ handlers: inCustody((made) => failing(made, liar, async () => error)) });
}

/** A liar that takes no deals has a part in nothing: it takes them as it should. */
function inCustody(change: (made: Handlers) => Handlers) {
  return (made: Handlers, protocol: string) => (protocol === CUSTODY_PROTOCOL ? change(made) : made);
}

/** Of what there is here, not of what goes on. */
const QUESTIONS_ABOUT_DEPOSITS = new Set([
  ...["ready", "read", "retrieve", "show", "account", "grants", "read-envelope", "seal-status", "change-status"],
  ...["repair-part", "repair-ciphertext", "repair-envelope", "change-part", "change-ciphertext", "change-envelope"],
]);

function notFound(liar: ProviderLiar, made: Handlers): Handlers {
  return failing(made, liar, async (method) => {
    if (!QUESTIONS_ABOUT_DEPOSITS.has(method)) return undefined;
    const found = await askedDeposit(liar.honest.store);
    if (found === undefined) return undefined;
    return new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "a lie");
  });
}

/** Everybody else who has a part in what is asked. */
async function othersIn({ transport, store }: CustodyProvider): Promise<readonly PeerName[]> {
  const { manifest } = fieldsOf(question()?.body ?? null);
  const roster = isBytes(manifest)
    ? providersOf(checkManifest(manifest))
    : ((await askedDeposit(store))?.placement.roster ?? []);
  return roster.filter((peer) => peer !== transport.peer);
}

/** What an error may say that there is somebody else to blame for. */
const BLAMING: readonly Status[] = ["unreachable", "integrity", "timeout", "damaged", "conflict", "full"];

function framing(liar: ProviderLiar, made: Handlers): Handlers {
  let count = 0;
  return failing(made, liar, async () => {
    if (!nowAndThen(liar.entropy)) return undefined;
    const others = await othersIn(liar.honest);
    const victim = others[count % Math.max(1, others.length)];
    const status = BLAMING[count % BLAMING.length]!;
    count += 1;
    return victim === undefined ? undefined : new IntercloudError("FRAMED", status, "a lie", { peers: [victim] });
  });
}

/** Says that it holds the ciphertext, and the envelope, whether it is a keeper or not. */
function claiming(liar: ProviderLiar, made: Handlers): Handlers {
  return bent(made, {
    ask(honest, method) {
      if (method !== "ready") return undefined;
      return async (body, context) => {
        const { held } = fieldsOf(await honest(body, context));
        liar.lied();
        const all = { holdsCiphertext: true, holdsEnvelope: true };
        return { held: (Array.isArray(held) ? held : []).map((each) => ({ ...fieldsOf(each), ...all })) };
      };
    },
  });
}

export const ANSWER_LIES: readonly ProviderLie[] = [
  {
    name: "refuses",
    about: "refuses everything to everybody",
    isAttributable: false,
    begin: always("refused", "REFUSED"),
  },
  {
    name: "busy",
    about: "has always too much to do",
    isAttributable: false,
    begin: always("busy", "BUSY", { retryAfterMs: 1_000 }),
  },
  {
    name: "not-found",
    about: "says that it does not know the deposits that it has",
    isAttributable: false,
    begin: (liar) => ({ handlers: inCustody((made) => notFound(liar, made)) }),
  },
  {
    name: "frames-others",
    about: "fails now and then, with errors that name another provider, each time another one and for another reason",
    isAttributable: false,
    begin: (liar) => ({ handlers: inCustody((made) => framing(liar, made)) }),
  },
  {
    name: "claims-more",
    about: "says that it keeps the ciphertext, and the envelope, whether it does or not",
    isAttributable: false,
    begin: (liar) => ({ handlers: (made) => claiming(liar, made) }),
  },
];
