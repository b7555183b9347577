/** What is asked of a liar right now: a part that it was put together from, such as its arithmetic, does not see the question otherwise. */
import { AsyncLocalStorage } from "node:async_hooks";
import { readChangeProof } from "../../protocols/custody/change/change-proof.ts";
import { uncheckedContent } from "../../protocols/identity/request.ts";
import { decodeDescriptor } from "../../protocols/rounds/descriptor.ts";
import { decodeProviderRound } from "../../protocols/rounds/provider-round.ts";
import { tokenIdOf } from "../../protocols/tokens/token.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import type { Handlers } from "../../protocols/wire/transport.ts";

export interface Question {
  readonly method: string;
  /** The message, or a channel's header. */
  readonly body: CborValue;
}

const underWay = new AsyncLocalStorage<Question>();

/** Undefined while the node does something by itself. */
export function question(): Question | undefined {
  return underWay.getStore();
}

export function isAsked(methods: ReadonlySet<string>): boolean {
  const asked = question();
  return asked !== undefined && methods.has(asked.method);
}

/** The same handlers, whose questions `question` knows. */
export function watched({ asks, channels }: Handlers): Handlers {
  return {
    asks: mapped(
      asks,
      (handler, method) => (body, context) => underWay.run({ method, body }, () => handler(body, context)),
    ),
    channels: mapped(
      channels,
      (handler, method) => (channel, header, context) =>
        underWay.run({ method, body: header }, () => handler(channel, header, context)),
    ),
  };
}

export function mapped<T>(
  handlers: Readonly<Record<string, T>> | undefined,
  change: (handler: T, method: string) => T,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(handlers ?? {}).map(([method, handler]) => [method, change(handler, method)]),
  );
}

/** The deposit that a question is about, by whichever of its fields says so; nothing of it is checked. */
export function tokenAskedAbout({ body }: Question): Uint8Array | undefined {
  try {
    return tokenOf(body);
  } catch {
    return undefined; // not a question of ours
  }
}

function tokenOf(body: CborValue): Uint8Array | undefined {
  const { tokenId, request, closing, round, proof, token, descriptor } = fieldsOf(body);
  if (isBytes(tokenId)) return tokenId;
  if (isBytes(descriptor)) return decodeDescriptor(descriptor).tokenId;
  if (isBytes(token)) return tokenIdOf(token);
  if (isBytes(request)) return tokenOf(uncheckedContent(request));
  if (isBytes(closing)) return tokenOf(uncheckedContent(closing));
  if (isBytes(round)) return decodeProviderRound(round).tokenId;
  if (isBytes(proof)) return readChangeProof(proof).change.tokenId;
  return undefined;
}

/** The fields of a message, whatever they are. */
export function fieldsOf(body: CborValue): Readonly<Record<string, CborValue>> {
  const isMap = typeof body === "object" && body !== null && !Array.isArray(body) && !isBytes(body);
  return isMap ? (body as Readonly<Record<string, CborValue>>) : {};
}

export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}
