/**
 * A node's settings. `intercloud node init` writes the first few into `config.json`; the others have the defaults below.
 * docs/operating.md has the same list as a table.
 */
import path from "node:path";
import * as v from "valibot";
import { RESERVED_DISK_BYTES } from "../protocols/custody/constants.ts";
import { DEFAULT_UNBOUND_LIMITS } from "../protocols/dealing/index.ts";
import { namePattern } from "../protocols/identity/descriptor.ts";
import { MAX_MESSAGE_BYTES } from "../protocols/tokens/constants.ts";
import { DEFAULT_HOST_LIMITS } from "../protocols/wire/libp2p-host.ts";
import { DEFAULT_LIMITS } from "../protocols/wire/limits.ts";
import { type DeepReadonly, loadConfig } from "../runtime/config.ts";
import { LOG_LEVELS } from "../runtime/log.ts";

export const CONFIG_FILE = "config.json";
export const KEY_FILE = "key.json";
export const DESCRIPTOR_FILE = "descriptor.json";
export const FEDERATION_FILE = "federation.json";

/** What a node can be willing to do, so far. */
export const DUTIES = ["custody"] as const;

const GIB = 1024 ** 3;
const wholeNumber = (min: number, max: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
const text = v.pipe(v.string(), v.minLength(1));
const multiaddrText = v.pipe(
  v.string(),
  v.regex(/^\/[\x21-\x7e]+$/, "an address is written as /ip4/192.0.2.1/tcp/4001"),
);

const nodeConfigSchema = v.strictObject({
  name: v.pipe(v.string(), v.regex(namePattern)),
  listen: v.pipe(v.array(multiaddrText), v.minLength(1)),
  announce: v.array(multiaddrText),
  duties: v.pipe(v.array(v.picklist(DUTIES)), v.minLength(1)),
  adminHost: text,
  adminPort: wholeNumber(0, 65_535),
  logLevel: v.picklist(LOG_LEVELS),
  keyFile: text,
  federationFile: text,
  founder: v.pipe(v.string(), v.regex(/^([0-9a-f]{64})?$/, "a public key of 64 hexadecimal digits")),
  storeDirectory: text,
  maxOwnerBytes: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  maxMessageBytes: wholeNumber(1, MAX_MESSAGE_BYTES),
  maxUnboundDeals: wholeNumber(1, 10_000_000),
  maxUnboundBytes: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  maxSelfDealtDeals: wholeNumber(0, 10_000_000),
  maxSelfDealtBytes: wholeNumber(0, Number.MAX_SAFE_INTEGER),
  minFreeBytes: wholeNumber(RESERVED_DISK_BYTES, Number.MAX_SAFE_INTEGER),
  maxConnections: wholeNumber(10, 100_000),
  channelsPerPeer: wholeNumber(1, 256),
  asksInFlight: wholeNumber(1, 100_000),
  requestsPerSecond: wholeNumber(1, 1_000_000),
  requestBurst: wholeNumber(1, 1_000_000),
  sweepIntervalMs: wholeNumber(1_000, 86_400_000),
  purgeIntervalMs: wholeNumber(1_000, 86_400_000),
});

export type NodeConfig = DeepReadonly<v.InferOutput<typeof nodeConfigSchema>>;
export type NodeConfigKey = keyof NodeConfig;

/** `name` and `listen` have none: `init` writes them. */
export const NODE_DEFAULTS = {
  announce: [],
  duties: [...DUTIES],
  adminHost: "127.0.0.1",
  adminPort: 0,
  logLevel: "info",
  keyFile: KEY_FILE,
  federationFile: FEDERATION_FILE,
  founder: "",
  storeDirectory: "store",
  maxOwnerBytes: 256 * GIB,
  maxMessageBytes: 64 * GIB,
  ...DEFAULT_UNBOUND_LIMITS,
  minFreeBytes: 2 * RESERVED_DISK_BYTES,
  maxConnections: DEFAULT_HOST_LIMITS.maxConnections,
  channelsPerPeer: DEFAULT_LIMITS.channelsPerPeer,
  asksInFlight: DEFAULT_LIMITS.asksInFlight,
  requestsPerSecond: DEFAULT_LIMITS.requestsPerSecond,
  requestBurst: DEFAULT_LIMITS.requestBurst,
  sweepIntervalMs: 60_000,
  purgeIntervalMs: 600_000,
} as const satisfies Omit<NodeConfig, "name" | "listen">;

/** What each setting is and why its default is what it is; help and docs/operating.md show it. */
export const NODE_SETTING_SUMMARIES: Readonly<Record<NodeConfigKey, string>> = {
  name: "what people call this node; unique in the federation",
  listen: "multiaddrs to listen on",
  announce:
    "multiaddrs that others should dial, when they differ from those listened on (behind a NAT, or with 0.0.0.0)",
  duties: "what the node is willing to do",
  adminHost: "address of the admin HTTP server; it has no login, so only a loopback address is taken",
  adminPort: "its port; 0 takes any free one",
  logLevel: "debug, info, warn or error",
  keyFile: "the key file, relative to the node's directory",
  federationFile: "the federation file, relative to the node's directory",
  founder:
    "public key (hexadecimal) that must have signed the federation file; empty takes the one that the file names",
  storeDirectory: "the store, relative to the node's directory",
  maxOwnerBytes: "bytes on disk that one owner may have here; room for eight messages of 16 GiB with their corrections",
  maxMessageBytes: "the longest message that is taken; four times the 16 GiB that a client must be able to count on",
  maxUnboundDeals:
    "deals of one dealer that may wait here to be used, and of all users together that deal for themselves; four in stock for each of 25,000 clients",
  maxUnboundBytes: "bytes that these may take, or have hashed; as much as one owner may have",
  maxSelfDealtDeals:
    "the same for one user that deals for itself; it deals when it deposits, so a few at a time are enough; 0 refuses them",
  maxSelfDealtBytes: "and what they may take, or have hashed; two of the longest messages",
  minFreeBytes:
    "with less free disk than this no deposit is taken and the node is not ready (DISK_LOW); twice what the store keeps for itself",
  maxConnections: "connections, each about 50 KB; beyond it new ones are refused",
  channelsPerPeer: "payload streams that one peer may have open; each may buffer 2 MiB",
  asksInFlight: "small requests of one peer that are worked on at once",
  requestsPerSecond: "small requests of one peer in the long run; a fifth of what a core can answer",
  requestBurst: "small requests of one peer that may come at once",
  sweepIntervalMs:
    "how often deals and deposits that expired are burnt, and what others left open is settled; they live for hours, so a minute is soon enough",
  purgeIntervalMs: "how soon after a burn the store's files are rewritten, so that nothing burnt is left in them",
};

export interface NodeSettings {
  readonly directory: string;
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Paths in the result are absolute. @throws what `loadConfig` throws. */
export async function loadNodeConfig({ directory, flags = {}, env = {} }: NodeSettings): Promise<NodeConfig> {
  const file = path.join(directory, CONFIG_FILE);
  const config = await loadConfig(nodeConfigSchema, { defaults: NODE_DEFAULTS, file, env, flags });
  return Object.freeze({
    ...config,
    keyFile: path.resolve(directory, config.keyFile),
    federationFile: path.resolve(directory, config.federationFile),
    storeDirectory: path.resolve(directory, config.storeDirectory),
  });
}
