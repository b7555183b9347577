/**
 * Where a deposit lives: on which deal, at which providers. The token says it for generation 0; every refresh or move makes the next
 * generation, on a fresh deal and with another ciphertext, so that shares of two generations cannot be mixed.
 */
import { digestOf } from "../crypto/digest.ts";
import { checkManifest, type Manifest } from "../dealing/manifest.ts";
import { readKeeping } from "../tokens/link.ts";
import type { Token } from "../tokens/token.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";
import type { DepositTerms } from "./deposit-terms.ts";

export interface Placement {
  /** 0 as deposited. */
  readonly generation: number;
  readonly manifest: Manifest;
  /** The providers in point order; home first. */
  readonly roster: readonly PeerName[];
  /** How many of them, from home on, keep the ciphertext. */
  readonly copies: number;
  /** What home signed about the ciphertext; undefined while that is not known. */
  readonly kept: Kept | undefined;
}

/** A deposit and the providers that it is at now. */
export interface Site {
  readonly tokenId: Uint8Array;
  readonly token: Token;
  /** In point order; home first. */
  readonly roster: readonly PeerName[];
  readonly threshold: number;
  /** How many of them, from home on, keep the ciphertext. */
  readonly copies: number;
  readonly dealId: Uint8Array;
}

export function siteOf(
  { tokenId, token }: Pick<DepositTerms, "tokenId" | "token">,
  { roster, manifest, copies }: Placement,
): Site {
  return { tokenId, token, roster, copies, threshold: manifest.threshold, dealId: manifest.dealId };
}

export interface Kept {
  /** `bodyDigest` of the ciphertext. */
  readonly ciphertextDigest: Uint8Array;
  /**
   * Names the very statement of home. Providers sign their answers under it, so that a home that signs two statements cannot make an
   * honest provider look wrong.
   */
  readonly keepingDigest: Uint8Array;
}

/** @param keeping home's signed statement @param ciphertextDigest as it says */
export function keptUnder(keeping: Uint8Array, ciphertextDigest: Uint8Array): Kept {
  return { ciphertextDigest, keepingDigest: digestOf("intercloud/kept-under/v1", keeping) };
}

/** @param keeping home's closing statement, once there is one */
export function originPlacement({ manifest, roster, token }: DepositTerms, keeping: Uint8Array | null): Placement {
  const kept = keeping === null ? undefined : keptUnder(keeping, readKeeping(keeping).statement.digestKept);
  return { generation: 0, manifest, roster, copies: token.copies, kept };
}

export function placementOn(generation: number, signedManifest: Uint8Array, copies: number): Placement {
  const manifest = checkManifest(signedManifest);
  if (manifest.items !== undefined) {
    throw new IntercloudError("TERMS_DISAGREE", "bad-request", "this is a lot of deals, and a deposit is on one");
  }
  const roster = manifest.shares.slice(0, -1).map(({ peer }) => peer);
  return { generation, manifest, roster, copies, kept: undefined };
}

/** The providers that keep the ciphertext, home first. */
export function keepersOf({ roster, copies }: Placement): readonly PeerName[] {
  return roster.slice(0, copies);
}

/** What a change names as the state that it starts from: the deposit itself and the deal that it is on now. */
export function placementDigest(tokenId: Uint8Array, { generation, manifest }: Placement): Uint8Array {
  return digestOf("intercloud/placement/v1", tokenId, manifest.dealId, Buffer.from(String(generation)));
}
