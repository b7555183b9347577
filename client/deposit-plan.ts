/** From settings and flags to the numbers and the candidates of one deposit. */
import type { DealerChoice, Destination, Directory } from "../protocols/custody/client/index.ts";
import { MIN_THRESHOLD } from "../protocols/rounds/constants.ts";
import type { Route } from "../protocols/rounds/descriptor.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { PeerName } from "../protocols/wire/transport.ts";

/** What a user may choose about a deposit. */
export interface DepositSettings {
  /** n and t. */
  readonly providers: number;
  readonly threshold: number;
  /** How many providers keep the ciphertext. */
  readonly copies: number;
  readonly protocol: 1 | 2 | 3;
  /** By default as the length of the message wants it. */
  readonly route?: Route | undefined;
  /** The name of the provider to take as home; the first of the federation file that answers by default. */
  readonly home?: string | undefined;
  /** Who makes the deal: the name of a dealer, or "self"; any dealer of the federation by default. */
  readonly dealer?: string | undefined;
}

/** What was chosen of it. */
export type DepositChoice = { readonly [Name in keyof DepositSettings]?: DepositSettings[Name] | undefined } & {
  /** The names of providers that are to have no part in it. */
  readonly without?: readonly string[] | undefined;
};

export interface DepositPlan extends Omit<DepositSettings, "home" | "dealer"> {
  /** In the order of preference. */
  readonly candidates: readonly PeerName[];
  /** The home that was chosen, if one was. */
  readonly home?: PeerName | undefined;
  readonly dealer?: DealerChoice | undefined;
}

/** Two of them may be lost, and more than three copies of large bodies cost more than they help. */
const DEFAULT_COPIES = 3;

/**
 * What was not chosen: all providers, and a majority of them to read, which is what a federation of that size would choose
 * without further thought.
 */
export function withDefaults(chosen: DepositChoice, knownProviders: number): DepositSettings {
  const { providers = knownProviders, home } = chosen;
  return {
    providers,
    threshold: chosen.threshold ?? Math.floor(providers / 2) + 1,
    copies: chosen.copies ?? Math.min(DEFAULT_COPIES, providers),
    protocol: chosen.protocol ?? 3,
    route: chosen.route,
    ...{ home, dealer: chosen.dealer },
  };
}

/** @throws IntercloudError WRONG_NUMBERS, UNKNOWN_HOME, UNKNOWN_DEALER_NAME, UNKNOWN_PROVIDER_NAME. */
export function depositPlan(
  settings: DepositSettings,
  chosen: DepositChoice,
  all: Pick<Directory, "providers" | "dealers" | "nameOf">,
): DepositPlan {
  const { without = [] } = chosen;
  const leftOut = without.map((name) => providerNamed(all, name));
  const directory = { ...all, providers: all.providers.filter((peer) => !leftOut.includes(peer)) };
  const known = directory.providers.length;
  // who leaves some out, and says no more, wants the others
  const providers = chosen.providers ?? (without.length > 0 ? Math.min(settings.providers, known) : settings.providers);
  const threshold = chosen.threshold ?? settings.threshold;
  // a deposit with fewer providers than the settings say has fewer copies too, unless copies were asked for
  const copies = chosen.copies ?? Math.min(settings.copies, providers);
  if (providers > known) {
    throw wrongNumbers(`${providers} providers were asked for, and ${knownText(all, known)}`);
  }
  if (threshold < MIN_THRESHOLD || threshold > providers) {
    throw wrongNumbers(`the threshold is ${threshold}; it must be from ${MIN_THRESHOLD} to the ${providers} providers`);
  }
  if (copies < 1 || copies > providers) {
    throw wrongNumbers(`${copies} copies were asked for; they must be from 1 to the ${providers} providers`);
  }
  return {
    ...{ providers, threshold, copies },
    protocol: chosen.protocol ?? settings.protocol,
    route: chosen.route ?? settings.route,
    ...homeFirst(directory, chosen.home ?? usualHome(settings, all, leftOut)),
    dealer: dealerChoice(directory, chosen.dealer ?? settings.dealer),
  };
}

/** @throws IntercloudError UNKNOWN_DEALER_NAME. */
export function dealerChoice(
  { dealers, nameOf }: Pick<Directory, "dealers" | "nameOf">,
  name: string | undefined,
): DealerChoice | undefined {
  if (name === undefined || name === "self") return name;
  const found = dealers.find((peer) => nameOf(peer) === name || peer === name);
  if (found !== undefined) return found;
  const known = ["self", ...dealers.map(nameOf)].join(", ");
  const message = `no dealer is called "${name}"; there are ${known}`;
  throw new IntercloudError("UNKNOWN_DEALER_NAME", "bad-request", message);
}

/** What a user may choose about a move; what is left out stays as the settings say. */
export interface MoveChoice extends Pick<DepositChoice, "providers" | "threshold" | "copies" | "without"> {
  /** The names of the providers to go to, the new home first; all that are known by default. */
  readonly to?: readonly string[] | undefined;
}

/** @throws IntercloudError WRONG_NUMBERS, UNKNOWN_PROVIDER_NAME. */
export function destinationOf(
  settings: DepositSettings,
  { to = [], without = [], ...chosen }: MoveChoice,
  directory: Pick<Directory, "providers" | "dealers" | "nameOf">,
): Destination {
  const named = to.map((name) => providerNamed(directory, name));
  const left = without.map((name) => providerNamed(directory, name));
  const providers = (named.length > 0 ? named : directory.providers).filter((peer) => !left.includes(peer));
  const count =
    chosen.providers ?? (named.length > 0 ? providers.length : Math.min(settings.providers, providers.length));
  const threshold = chosen.threshold ?? Math.min(settings.threshold, count);
  const plan = depositPlan(
    settings,
    { ...chosen, providers: count, threshold, home: undefined },
    { ...directory, providers },
  );
  return { providers: plan.providers, threshold: plan.threshold, copies: plan.copies, candidates: providers };
}

function knownText({ providers }: Pick<Directory, "providers">, left: number): string {
  const listed = `the federation file lists ${providers.length}`;
  return left < providers.length ? `${listed}, of which ${left} are left` : listed;
}

function providerNamed({ providers, nameOf }: Pick<Directory, "providers" | "nameOf">, name: string): PeerName {
  const found = providers.find((peer) => nameOf(peer) === name || peer === name);
  if (found !== undefined) return found;
  const message = `no provider is called "${name}"; the federation file lists ${providers.map(nameOf).join(", ")}`;
  throw new IntercloudError("UNKNOWN_PROVIDER_NAME", "bad-request", message);
}

function homeFirst(
  { providers, nameOf }: Pick<Directory, "providers" | "nameOf">,
  home: string | undefined,
): Pick<DepositPlan, "candidates" | "home"> {
  if (home === undefined) return { candidates: providers, home };
  const first = providers.find((peer) => nameOf(peer) === home || peer === home);
  if (first === undefined) {
    const names = providers.map(nameOf).join(", ");
    const message = `no provider is called "${home}"; the federation file lists ${names}`;
    throw new IntercloudError("UNKNOWN_HOME", "bad-request", message);
  }
  return { candidates: [first, ...providers.filter((peer) => peer !== first)], home: first };
}

/** Whoever leaves out the home of the settings wants another one. */
function usualHome(
  { home }: DepositSettings,
  { nameOf }: Pick<Directory, "nameOf">,
  leftOut: readonly PeerName[],
): string | undefined {
  return leftOut.some((peer) => nameOf(peer) === home || peer === home) ? undefined : home;
}

function wrongNumbers(why: string): IntercloudError {
  return new IntercloudError("WRONG_NUMBERS", "bad-request", `${why}; see --providers, --threshold and --copies`);
}
