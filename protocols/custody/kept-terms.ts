/**
 * The terms of a deposit from the bytes that are kept and shown of it. A provider reads the same record in each step of a deposit and of a
 * retrieval; what these very bytes say, and that their signatures are right, never changes, so it is remembered by their digest.
 */
import { digestOf } from "../crypto/digest.ts";
import { createRecent } from "../crypto/recent.ts";
import { type CheckedRequest, checkKeptRequest } from "../identity/request.ts";
import { type DepositTerms, readTerms } from "./deposit-terms.ts";

/** Those of deposits with some thirty providers; longer ones are rare, and not remembered. */
const MAX_BYTES = 8 * 1024;
/** Ten thousand bytes each: those of the deposits that are being made or read. */
const recent = createRecent<DepositTerms>(256);

/** @throws what `checkKeptRequest` and `readTerms` throw. */
export function keptTerms(request: Uint8Array, manifest: Uint8Array): DepositTerms {
  return remembered(request, manifest, () => checkKeptRequest(request, "deposit"));
}

/** @param checked the request, checked by the present time. @throws what `readTerms` throws. */
export function termsOf(request: Uint8Array, checked: CheckedRequest, manifest: Uint8Array): DepositTerms {
  return remembered(request, manifest, () => checked);
}

function remembered(request: Uint8Array, manifest: Uint8Array, check: () => CheckedRequest): DepositTerms {
  if (request.length + manifest.length > MAX_BYTES) return readTerms(check(), manifest);
  const lengths = Uint32Array.of(request.length, manifest.length);
  const name = Buffer.from(
    digestOf("intercloud/kept-terms/v1", new Uint8Array(lengths.buffer), request, manifest),
  ).toString("latin1");
  const known = recent.get(name);
  if (known !== undefined) return known;
  const terms = readTerms(check(), manifest);
  recent.set(name, terms);
  return terms;
}
