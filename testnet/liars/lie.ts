/**
 * What a lie is. The providers' own program cannot be told to lie: a liar is made by whoever puts a node together, by handing it
 * substitutes for some of the parts that are passed in anyway, and by answering in the place of what it would have answered.
 */
import type { Entropy } from "../../protocols/crypto/entropy.ts";
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import type { DealServerOptions } from "../../protocols/dealing/server.ts";
import type { Clock } from "../../protocols/wire/clock.ts";
import type { Handlers } from "../../protocols/wire/transport.ts";

/** What a lie is about, as far as the question says it. */
export interface About {
  readonly tokenId?: Uint8Array | undefined;
}

/** What whoever composes a liar passes in. */
export interface LiarTools {
  readonly entropy: Entropy;
  readonly clock: Clock;
  /** Called when something wrong is done, once for each question. `method`: what was asked of the liar, or what it asks of others by itself. */
  told(method: string, about: About): void;
  /** Called when a thief was given what it should not have got: a hole in whoever gave it. */
  gained?(method: string, about: About): void;
}

/** The liar, as a lie knows it. */
export interface Liar<Parts> extends Pick<LiarTools, "entropy" | "clock"> {
  /** What it would be put together from if it were honest. */
  readonly honest: Parts;
  /**
   * To be called when something wrong is done. What was asked is known from where it is done; of one question it is told once.
   * @param doing what the liar asks of others, in case that nobody asked it anything
   */
  lied(doing?: string): void;
  /** @param method by which */
  gained(method: string): void;
}

export interface Substitutes<Parts> {
  /** In the place of the honest parts. */
  readonly parts?: Partial<Parts>;
  /** @param made what the node would answer with its parts as they are now @param own these parts, substitutes and all */
  readonly handlers?: (made: Handlers, protocol: string, own: Parts) => Handlers;
}

interface Lie<Parts> {
  /** As commands and reports call it. */
  readonly name: string;
  /** What it does, in one plain sentence. */
  readonly about: string;
  /** Of one liar: what it remembers is its own. */
  begin(liar: Liar<Parts>): Substitutes<Parts>;
}

export interface ProviderLie extends Lie<CustodyProvider> {
  /**
   * A get that it was told in (by `read` or `retrieve`), and that ended well, accuses it with evidence. Only if nothing else goes wrong in
   * that get: an answer that came too late, or in a round that somebody else broke off, is in no sum, and nobody looks at it.
   */
  readonly isAttributable: boolean;
}

export interface DealerLie extends Lie<DealServerOptions> {
  /** A put that it was told in fails with an error of the status "integrity" that names the dealer, and nobody else. */
  readonly isNamed: boolean;
}
