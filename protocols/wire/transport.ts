/**
 * What protocol code sees of the network: ask a peer, open a channel to a peer, serve a protocol.
 * The same protocol code runs over libp2p (`libp2p-transport.ts`) and over memory (`memory-transport.ts`).
 */
import type { CborValue } from "./codec.ts";

/** A peer's name: the text form of its Ed25519 libp2p peer id (`12D3Koo...`), which contains the public key. */
export type PeerName = string;

export interface CallOptions {
  /** The whole ask, or for `open` the time until the channel stands. Required: there are no endless waits. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Context {
  /** Who is asking, as authenticated by the transport. */
  readonly from: PeerName;
  /** Appears in our log and in the status sent back, so that two operators can compare notes. */
  readonly requestId: string;
  /** Fires when the asking side cancels, dies or disconnects, and when we shut down. */
  readonly signal: AbortSignal;
}

export type AskHandler = (body: CborValue, context: Context) => Promise<CborValue>;
export type ChannelHandler = (channel: Channel, header: CborValue, context: Context) => Promise<void>;

export interface Handlers {
  readonly asks?: Readonly<Record<string, AskHandler>>;
  readonly channels?: Readonly<Record<string, ChannelHandler>>;
}

export interface Transport {
  readonly peer: PeerName;
  /**
   * One small request and its answer (both at most MAX_CONTROL_BYTES) on the long-lived control stream to that peer.
   * @throws RemoteError when the peer answers with a status; IntercloudError UNREACHABLE, TIMEOUT or CANCELLED.
   */
  ask(to: PeerName, protocol: string, method: string, body: CborValue, options: CallOptions): Promise<CborValue>;
  /** A stream of its own, for a payload. `header` is the first message on it. */
  open(to: PeerName, protocol: string, method: string, header: CborValue, options: CallOptions): Promise<Channel>;
  serve(protocol: string, handlers: Handlers): Promise<void>;
  close(): Promise<void>;
}

/** What is known about a body when its END frame has been sent or checked. */
export interface BodySummary {
  readonly lengthBytes: number;
  /** `bodyDigest` of the body: SHA-256 over the SHA-256 of each block of 1 MiB. */
  readonly digest: Uint8Array;
}

/**
 * `lengthBytes`: the exact length; more is an error at the first byte too many, less is an error at END.
 * `maxBytes`: for a body whose length its sender does not know when it begins.
 */
export type ReceiveOptions = { readonly lengthBytes: number } | { readonly maxBytes: number };

export interface SendOptions {
  /** While the source is silent, tells the receiver so often that it is still to come: for a source that may rest, as a pipe does. */
  readonly keepAliveMs?: number;
}

/** A body being received: iterate it to its end, then read `summary()`. */
export interface IncomingBody extends AsyncIterable<Uint8Array> {
  /** Only after the iteration ended well, that is after an END frame whose length and digest are right. */
  summary(): BodySummary;
}

/**
 * A payload stream: in each direction any number of messages and bodies, in an order that the protocol fixes.
 * Nothing in a body counts before its END frame. Both directions have back-pressure. No byte for `idleTimeoutMs` while we
 * wait is a TIMEOUT.
 *
 * The chunks that `receiveBody` yields belong to the consumer, who may change them in place;
 * the chunks given to `sendBody` belong to the channel from then on.
 */
export interface Channel {
  readonly peer: PeerName;
  sendMessage(message: CborValue): Promise<void>;
  /** The next message. @throws RemoteError if the peer failed instead; TRUNCATED if the stream ended without one. */
  receiveMessage(): Promise<CborValue>;
  /** Sends all of `source` and an END frame; fails early with RemoteError if the peer reports a failure meanwhile. */
  sendBody(source: AsyncIterable<Uint8Array>, options?: SendOptions): Promise<BodySummary>;
  receiveBody(options: ReceiveOptions): IncomingBody;
  /** No more from us; waits until what we sent is on its way, within a deadline. */
  close(): Promise<void>;
  /** Ends both directions at once. With an IntercloudError the peer is told its status first, if the stream still can. */
  abort(reason?: unknown): void;
}
