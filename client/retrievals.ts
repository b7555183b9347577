/** How a client retrieves: with its own shares and keys, and an envelope's message as its key. */
import { type Retrieval, type Retrieved, type RetrieveProgress, retrieve } from "../protocols/custody/client/index.ts";
import type { Token } from "../protocols/tokens/token.ts";
import { parseTokenText, type TokenText } from "../protocols/tokens/token-text.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { ClientContext, ClientParts } from "./client.ts";
import type { RetrieveCallOptions } from "./client-api.ts";
import { createTurns, RETRIEVAL_TURNS } from "./turns.ts";

export interface Retrievals {
  /** Of either form. */
  retrieve(tokenText: string, options: RetrieveCallOptions): Promise<Retrieval>;
  /** What was layered. @param check throws when the deposit is not of the kind that is wanted */
  checked(token: TokenText, options: RetrieveCallOptions, check: (token: Token) => void): Promise<Retrieved>;
}

export function createRetrievals(
  { shares, clock }: ClientParts,
  { user, userKey, signalOf }: ClientContext,
): Retrievals {
  const turns = createTurns(clock, RETRIEVAL_TURNS);

  async function checked(
    token: TokenText,
    options: RetrieveCallOptions,
    check: (token: Token) => void,
  ): Promise<Retrieved> {
    const { onProgress, onWarning } = options;
    const unwanted = new AbortController();
    const signal = AbortSignal.any([signalOf(options), unwanted.signal]);
    // until it is known who gives the message: how fast that is read is up to its reader
    const retrieval = await turns.run(signal, async () =>
      retrieve(await user(), {
        ...{ token, route: options.route ?? "fanout", signal },
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(onWarning === undefined ? {} : { onWarning }),
        userShare: (tokenId, dealId) => shares.find(tokenId, dealId),
      }),
    );
    try {
      check(retrieval.token);
      if (retrieval.token.protocol !== 1) return retrieval;
      const { openMessage } = await import("../protocols/envelope/index.ts");
      return { ...retrieval, message: await openMessage(userKey(), retrieval.message) };
    } catch (error) {
      unwanted.abort(error);
      throw error;
    }
  }

  return {
    checked,
    async retrieve(tokenText, options) {
      const token = parseTokenText(tokenText);
      let form: Token["policy"]["form"] | undefined;
      const onProgress = (progress: RetrieveProgress) => {
        if (form === "whole") options.onProgress?.(progress);
      };
      const retrieved = await checked(token, { ...options, onProgress }, ({ policy }) => {
        form = policy.form;
        if (form === "detached") throw fileElsewhere();
      });
      if (retrieved.envelope === null) return { token: retrieved.token, message: retrieved.message };
      const { getEnvelope } = await import("./kept-envelopes.ts");
      const parts = { user: await user(), signal: signalOf(options) };
      return getEnvelope(retrieved, { ...parts, onProgress: options.onProgress, onWarning: options.onWarning });
    },
  };
}

function fileElsewhere(): IntercloudError {
  const message =
    "this deposit holds the key of an encrypted file, and the file is with whoever encrypted it; give that file to `intercloud decrypt`";
  return new IntercloudError("FILE_ELSEWHERE", "bad-request", message);
}
