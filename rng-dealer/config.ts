/**
 * A dealer's settings. `intercloud dealer init` writes the first few into `config.json`; the others have the defaults below.
 * docs/operating.md has the same list as a table.
 */
import path from "node:path";
import * as v from "valibot";
import { DEAL_LIFETIME_MS, MAX_DEAL_LIFETIME_MS } from "../protocols/dealing/index.ts";
import { namePattern } from "../protocols/identity/descriptor.ts";
import { MAX_ROUND_BYTES } from "../protocols/rounds/constants.ts";
import { type DeepReadonly, loadConfig } from "../runtime/config.ts";
import { LOG_LEVELS } from "../runtime/log.ts";

export const CONFIG_FILE = "config.json";
export const KEY_FILE = "key.json";
export const DESCRIPTOR_FILE = "descriptor.json";
const FEDERATION_FILE = "federation.json";

const wholeNumber = (min: number, max: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
const text = v.pipe(v.string(), v.minLength(1));

const dealerConfigSchema = v.strictObject({
  name: v.pipe(v.string(), v.regex(namePattern)),
  /** Multiaddrs. */
  listen: v.pipe(v.array(text), v.minLength(1)),
  adminHost: text,
  /** 0: any free port. */
  adminPort: wholeNumber(0, 65_535),
  logLevel: v.picklist(LOG_LEVELS),
  /** Relative paths are relative to the dealer's directory. */
  keyFile: text,
  federationFile: text,
  /** The Ed25519 public key, in hexadecimal, that must have signed the federation; empty: the one that it names itself. */
  founder: v.pipe(v.string(), v.regex(/^([0-9a-f]{64})?$/)),
  maxDeals: wholeNumber(1, 1000),
  maxDealsPerIdentity: wholeNumber(1, 1000),
  maxLengthBytes: wholeNumber(1, MAX_ROUND_BYTES),
  dealLifetimeMs: wholeNumber(60_000, MAX_DEAL_LIFETIME_MS),
});

export type DealerConfig = DeepReadonly<v.InferOutput<typeof dealerConfigSchema>>;

export type DealerConfigKey = keyof DealerConfig;

/** `name` and `listen` have none: `init` writes them. */
export const DEALER_DEFAULTS = {
  adminHost: "127.0.0.1",
  adminPort: 0,
  logLevel: "info",
  keyFile: KEY_FILE,
  federationFile: FEDERATION_FILE,
  founder: "",
  maxDeals: 12,
  maxDealsPerIdentity: 4,
  maxLengthBytes: 64 * 1024 ** 3,
  dealLifetimeMs: DEAL_LIFETIME_MS,
} as const satisfies Omit<DealerConfig, "name" | "listen">;

/** What each setting is and why its default is what it is; help and docs/operating.md show it. */
export const DEALER_SETTING_SUMMARIES: Readonly<Record<DealerConfigKey, string>> = {
  name: "what people call this dealer; unique in the federation",
  listen: "multiaddrs to listen on; others dial the same",
  adminHost: "address of the admin HTTP server; it has no login, so only a loopback address is taken",
  adminPort: "its port; 0 takes any free one",
  logLevel: "debug, info, warn or error",
  keyFile: "the key file, relative to the dealer's directory",
  federationFile: "the federation file, relative to the dealer's directory",
  founder:
    "public key (hexadecimal) that must have signed the federation file; empty takes the one that the file names",
  maxDeals: "deals at once; each takes a channel at each provider, and those hold 16 for one peer",
  maxDealsPerIdentity: "deals of one identity at once",
  maxLengthBytes: "the longest message that it deals for; as long as the nodes take",
  dealLifetimeMs:
    "how long a deal waits to be used before the providers burn it: a day, for a day on which the dealer is away",
};

export interface DealerSettings {
  readonly directory: string;
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Paths in the result are absolute. @throws what `loadConfig` throws. */
export async function loadDealerConfig({ directory, flags = {}, env = {} }: DealerSettings): Promise<DealerConfig> {
  const file = path.join(directory, CONFIG_FILE);
  const config = await loadConfig(dealerConfigSchema, { defaults: DEALER_DEFAULTS, file, env, flags });
  return Object.freeze({
    ...config,
    keyFile: path.resolve(directory, config.keyFile),
    federationFile: path.resolve(directory, config.federationFile),
  });
}
