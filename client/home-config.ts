/** `config.json` of a home: what `put` does when it is not told otherwise. */
import * as v from "valibot";
import { MAX_PROVIDERS, MIN_THRESHOLD } from "../protocols/rounds/constants.ts";
import { integer } from "../protocols/wire/shape.ts";
import { loadConfig } from "../runtime/config.ts";

/** An hour of one deposit a minute; each deal waits a day at all its providers, where others want room too. */
const MAX_STOCK = 64;

const configShape = v.strictObject({
  /** n and t. */
  providers: v.optional(integer(MIN_THRESHOLD, MAX_PROVIDERS)),
  threshold: v.optional(integer(MIN_THRESHOLD, MAX_PROVIDERS)),
  copies: v.optional(integer(1, MAX_PROVIDERS)),
  protocol: v.optional(v.picklist([1, 2, 3])),
  route: v.optional(v.picklist(["chain", "fanout"])),
  /** The name of the provider to take as home. */
  home: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64))),
  /** The name of the dealer to ask, or "self". */
  dealer: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64))),
  /** How many deals to keep in stock. */
  stock: v.optional(integer(0, MAX_STOCK)),
  /** The public key (hex) that must have signed federation.json; as it was when this home was made. */
  founder: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
});

export type HomeConfig = Readonly<v.InferOutput<typeof configShape>>;

/**
 * The environment is left out on purpose: `INTERCLOUD_HOME` names the folder, and `home` in the file a provider.
 * @throws IntercloudError CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, CONFIG_MALFORMED.
 */
export async function readHomeConfig(file: string): Promise<HomeConfig> {
  return await loadConfig(configShape, { defaults: {}, file });
}
