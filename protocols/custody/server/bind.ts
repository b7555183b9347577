/** Binding: the owner says what a deal will be used for. From then on it is used for that, or burnt. */
import { auditChange } from "../../audit/index.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { heldDealChange, loadHeldDeal, withDeal } from "../../dealing/held-deal.ts";
import { CLOCK_SKEW_MS, MAX_REQUEST_LIFETIME_MS } from "../../identity/constants.ts";
import { checkRequest } from "../../identity/request.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Context } from "../../wire/transport.ts";
import { RESERVED_DISK_BYTES } from "../constants.ts";
import { mayDeal } from "../dealers.ts";
import { type DepositTerms, keepers } from "../deposit-terms.ts";
import { termsOf } from "../kept-terms.ts";
import { bindShape } from "../messages.ts";
import { type DepositRecord, depositChange } from "./deposit-record.ts";
import { ownBox } from "./own-box.ts";
import { letIn } from "./owner-usage.ts";
import type { CustodyProvider } from "./provider.ts";
import { rememberUnsealed } from "./unsealed.ts";

export async function bind(provider: CustodyProvider, body: CborValue, context: Context): Promise<CborValue> {
  const { box } = await bindDeposit(provider, parseShape(bindShape, body, "bind"), context);
  return { box };
}

export interface BoundDeposit {
  readonly terms: DepositTerms;
  /** Our share, sealed to the owner (Protocol 1), if it is a seed. */
  readonly box: Uint8Array | null;
}

/** @param check throws when there is something else that does not fit; called before anything is changed. */
export async function bindDeposit(
  provider: CustodyProvider,
  message: { readonly request: Uint8Array; readonly manifest: Uint8Array },
  context: Context,
  check: (terms: DepositTerms) => void = () => {},
): Promise<BoundDeposit> {
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "deposit", nowMs);
  const terms = termsOf(message.request, request, message.manifest);
  const entry = terms.manifest.shares.find((share) => share.peer === provider.transport.peer);
  if (entry === undefined || !mayDeal(provider, terms.manifest, terms.token.owner)) {
    throw new IntercloudError(
      "NOT_OUR_DEAL",
      "refused",
      "this deal has no share for us, or is neither by one of our dealers nor by the owner itself",
    );
  }
  if (Math.abs(terms.token.createdAtMs - nowMs) > CLOCK_SKEW_MS + MAX_REQUEST_LIFETIME_MS) {
    throw new IntercloudError("TOKEN_TIME", "expired", "the token says that it is made at another time than now");
  }
  if (context.from !== terms.descriptor.requester) {
    throw new IntercloudError("NOT_THE_REQUESTER", "refused", "this request was made by another peer");
  }
  check(terms);
  provider.replayGuard.admit(request, nowMs);
  const ciphertextBytes = keepers(terms).includes(provider.transport.peer) ? terms.manifest.lengthBytes : 0;
  requireSize(provider, terms);
  await requireRoom(provider, terms.token.owner, ciphertextBytes);
  const storedBytes = ciphertextBytes + (entry.corrected ? terms.manifest.lengthBytes : 0);
  const { userKey } = terms.token;

  const box = await withDeal(provider.store, terms.manifest.dealId, async () => {
    const deal = await loadHeldDeal(provider.store, terms.manifest.dealId);
    if (deal === undefined) {
      throw new IntercloudError("NO_SUCH_DEAL", "not-found", "we hold no share of this deal; ask for a new deal");
    }
    if (deal.state !== "dealt" || nowMs > deal.expiresAtMs || !equalBytes(deal.manifest, message.manifest)) {
      throw new IntercloudError(
        "DEAL_USED",
        "conflict",
        "this deal was used, has expired or is another one; ask for a new deal",
      );
    }
    const record: DepositRecord = {
      version: 1,
      state: "bound",
      request: message.request,
      manifest: message.manifest,
      ownLink: null,
      links: [],
      keeping: null,
      closing: null,
      change: null,
      holdsCiphertext: false,
      received: null,
      envelope: null,
      storedBytes,
    };
    const bound = heldDealChange({ ...deal, state: "bound", boundTo: terms.tokenId });
    const event = { kind: "bound", dealId: deal.dealId, identity: request.identity, from: context.from } as const;
    try {
      await provider.store.commit([
        bound,
        depositChange(terms.tokenId, record),
        auditChange({ ...event, tokenId: terms.tokenId }),
      ]);
    } finally {
      // also when it is not known whether it came to the disk
      rememberUnsealed(provider.store, terms.tokenId);
    }
    return userKey === null ? null : ownBox(provider, userKey, deal);
  });
  provider.observe({ kind: "bound", tokenId: terms.tokenId });
  return { terms, box };
}

function requireSize({ limits }: CustodyProvider, { token }: DepositTerms): void {
  if (token.lengthBytes <= limits.maxMessageBytes) return;
  throw new IntercloudError("TOO_LARGE", "full", "the message is larger than we take", {
    limitBytes: limits.maxMessageBytes,
  });
}

/** @throws IntercloudError OVER_QUOTA, DISK_FULL. */
export async function requireRoom(provider: CustodyProvider, owner: string, ciphertextBytes: number): Promise<void> {
  if (!(await letIn(provider, owner, ciphertextBytes))) throw overQuota(provider);
  await requireFree(provider, ciphertextBytes);
}

export function overQuota({ limits }: CustodyProvider): IntercloudError {
  return new IntercloudError("OVER_QUOTA", "full", "the owner has as much here as it may; destroy something first", {
    limitBytes: limits.maxOwnerBytes,
  });
}

/** @throws IntercloudError DISK_FULL. */
export async function requireFree(provider: CustodyProvider, lengthBytes: number): Promise<void> {
  if ((await provider.freeBytes()) >= lengthBytes + RESERVED_DISK_BYTES) return;
  throw new IntercloudError("DISK_FULL", "full", "there is no room for this deposit on our disk");
}
