/**
 * A daemon's or command's settings from four places into one frozen object. What is nearer to the person who starts it wins:
 * flags, then environment, then file, then defaults. A misspelt name is an error, not a setting that silently stays default.
 */
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { IntercloudError } from "../protocols/wire/errors.ts";

/** A valibot `strictObject` of camelCase keys, or a pipe that begins with one. */
export type ConfigSchema = v.GenericSchema<Record<string, unknown>, Record<string, unknown>> & {
  readonly entries: Readonly<Record<string, v.GenericSchema>>;
};

export interface ConfigSources {
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Path of a JSON file; it must exist if it is given. */
  readonly file?: string | undefined;
  /** Texts under `INTERCLOUD_` and the key in upper snake case: `adminPort` is `INTERCLOUD_ADMIN_PORT`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Under the key in camelCase or kebab-case. Others are the command's own, and undefined is a flag that was not given. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

export type DeepReadonly<T> = T extends Uint8Array | ((...args: never[]) => unknown)
  ? T
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** Where a value came from and how it is called there, for the error message. */
interface Setting {
  readonly value: unknown;
  readonly from: string;
}
type Settings = ReadonlyMap<string, Setting>;

/**
 * Texts of flags and environment become numbers, booleans or lists (`a,b`) where the schema wants these.
 * @throws IntercloudError CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, CONFIG_MISSING, CONFIG_MALFORMED; all name the place and the key.
 */
export async function loadConfig<const S extends ConfigSchema>(
  schema: S,
  sources: ConfigSources,
): Promise<DeepReadonly<v.InferOutput<S>>> {
  const { entries } = schema;
  const settings = new Map([
    ...fromDefaults(sources.defaults),
    ...(await fromFile(sources.file, entries)),
    ...fromEnvironment(sources.env ?? {}, entries),
    ...fromFlags(sources.flags ?? {}, entries),
  ]);
  const merged = Object.fromEntries([...settings].map(([key, { value }]) => [key, value]));
  const parsed = v.safeParse(schema, merged);
  if (!parsed.success) throw badValue(parsed.issues[0], settings);
  return deepFreeze(parsed.output) as DeepReadonly<v.InferOutput<S>>;
}

function fromDefaults(defaults: Readonly<Record<string, unknown>>): Settings {
  return new Map(Object.entries(defaults).map(([key, value]) => [key, { value, from: `the default of "${key}"` }]));
}

async function fromFile(path: string | undefined, entries: ConfigSchema["entries"]): Promise<Settings> {
  if (path === undefined) return new Map();
  const content = await readJson(path);
  const settings = new Map<string, Setting>();
  for (const [key, value] of Object.entries(content)) {
    if (!Object.hasOwn(entries, key)) {
      throw unknownKey(path, key, nearest(key, Object.keys(entries)), Object.keys(entries));
    }
    settings.set(key, { value, from: `"${key}" in ${path}` });
  }
  return settings;
}

const ENV_PREFIX = "INTERCLOUD_";
/** Read elsewhere, before there is a configuration. */
const OTHER_ENV_NAMES = new Set(
  ["HOME", "PASSPHRASE", "PASSPHRASE_FILE", "NODE", "DEBUG"].map((name) => ENV_PREFIX + name),
);

export function envNameOf(key: string): string {
  return ENV_PREFIX + key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function fromEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  entries: ConfigSchema["entries"],
): Settings {
  const settings = new Map<string, Setting>();
  const keyOf = new Map(Object.keys(entries).map((key) => [envNameOf(key), key]));
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined || !name.startsWith(ENV_PREFIX)) continue;
    const key = keyOf.get(name);
    if (key !== undefined) {
      settings.set(key, { value: fromText(entries[key], text), from: `the environment variable ${name}` });
      continue;
    }
    // Programs with other settings may share our environment, so only what looks like a slip is refused.
    const slipOf = OTHER_ENV_NAMES.has(name) ? undefined : nearest(name, [...keyOf.keys()], ENV_PREFIX.length);
    if (slipOf !== undefined) throw unknownKey("the environment", name, slipOf, [...keyOf.keys()]);
  }
  return settings;
}

function fromFlags(flags: Readonly<Record<string, unknown>>, entries: ConfigSchema["entries"]): Settings {
  const settings = new Map<string, Setting>();
  for (const [flag, given] of Object.entries(flags)) {
    const key = flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (given === undefined || !Object.hasOwn(entries, key)) continue;
    const value = typeof given === "string" ? fromText(entries[key], given) : given;
    const kebab = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    settings.set(key, { value, from: `--${kebab}` });
  }
  return settings;
}

/** The first reading of a text that the schema accepts; the text itself when none is, so that the error shows it. */
function fromText(schema: v.GenericSchema | undefined, text: string): unknown {
  const items = text === "" ? [] : text.split(",").map((item) => item.trim());
  const readings = [text, asNumber(text), asBoolean(text), items, items.map(asNumber)];
  if (schema === undefined) return text;
  return readings.find((reading) => reading !== undefined && v.is(schema, reading)) ?? text;
}

function asNumber(text: string): number | undefined {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function asBoolean(text: string): boolean | undefined {
  if (text === "true") return true;
  return text === "false" ? false : undefined;
}

async function readJson(path: string): Promise<object> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const message = `the configuration file ${path} cannot be read; check the path and its permissions`;
    throw new IntercloudError("CONFIG_MISSING", "bad-request", message, { path }, cause);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "";
    throw new IntercloudError("CONFIG_MALFORMED", "bad-request", `${path} is not JSON: ${reason}`, { path }, cause);
  }
  throw new IntercloudError("CONFIG_MALFORMED", "bad-request", `${path} must hold one JSON object`, { path });
}

function unknownKey(
  place: string,
  name: string,
  suggestion: string | undefined,
  known: readonly string[],
): IntercloudError {
  const hint = suggestion === undefined ? `it knows ${known.join(", ")}` : `did you mean "${suggestion}"?`;
  return new IntercloudError(
    "CONFIG_UNKNOWN_KEY",
    "bad-request",
    `${place} has the unknown setting "${name}": ${hint}`,
    {
      key: name,
      suggestion,
    },
  );
}

function badValue(issue: v.BaseIssue<unknown>, settings: Settings): IntercloudError {
  const path = v.getDotPath(issue) ?? "";
  const key = path.split(".")[0] ?? "";
  const setting = settings.get(key);
  if (setting === undefined && key !== "") {
    const message = `the setting "${key}" is needed; give it in the file, as ${envNameOf(key)} or as a flag`;
    return new IntercloudError("CONFIG_BAD_VALUE", "bad-request", message, { key });
  }
  const where = setting === undefined ? "the settings together" : setting.from;
  const inside = path === key ? "" : ` (at ${path})`;
  return new IntercloudError("CONFIG_BAD_VALUE", "bad-request", `${where}${inside} is not valid: ${issue.message}`, {
    key,
  });
}

/** A slip changes few letters: at most two, and at most a third of them (without a prefix that all names have). */
function nearest(name: string, known: readonly string[], prefixLength = 0): string | undefined {
  const allowed = Math.min(2, (name.length - prefixLength) / 3);
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= allowed ? best.candidate : undefined;
}

/** Levenshtein's: insertions, deletions and replacements, each 1. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

function deepFreeze<T>(value: T): T {
  // Bytes cannot be frozen, and a setting is not bytes.
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
