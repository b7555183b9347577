/** What `init` is given for a descriptor, checked with words for the person who typed it. */
import { multiaddr } from "@multiformats/multiaddr";
import { namePattern } from "../protocols/identity/descriptor.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";

/** @throws IntercloudError BAD_NAME. */
export function requireName(name: string): void {
  if (namePattern.test(name)) return;
  const message = `"${name}" cannot be a name in a federation; use up to 63 of a-z, 0-9 and -, and no - at the start`;
  throw new IntercloudError("BAD_NAME", "bad-request", message, { name });
}

/** @throws IntercloudError BAD_ADDRESS. */
export function requireMultiaddr(address: string): void {
  try {
    multiaddr(address);
  } catch (cause) {
    const message = `"${address}" is not a multiaddr; write it as /ip4/192.0.2.1/tcp/4001`;
    throw new IntercloudError("BAD_ADDRESS", "bad-request", message, { address }, cause);
  }
}

/**
 * What is in the descriptor is what others dial: a wildcard or a port that is not known yet helps nobody.
 * @param advice what to do about it
 * @throws IntercloudError NO_ADDRESS.
 */
export function requireDialable(addresses: readonly string[], advice: string): void {
  const bad = addresses.find((address) => /^\/ip4\/0\.0\.0\.0\/|^\/ip6\/::\/|\/(tcp|udp)\/0(\/|$)/.test(address));
  if (addresses.length > 0 && bad === undefined) return;
  const what = bad === undefined ? "no address is given" : `nobody can dial ${bad}`;
  throw new IntercloudError("NO_ADDRESS", "bad-request", `${what}; ${advice}`, { address: bad });
}
