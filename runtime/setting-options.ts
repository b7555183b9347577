/** The flags of a daemon: every setting of its `config.json` has one. */
import type { OptionSpec } from "./command.ts";

/** `adminPort` becomes `--admin-port`. A setting that is a list by default, and `listen`, may be given several times. */
export function settingOptions(
  summaries: Readonly<Record<string, string>>,
  defaults: Readonly<Record<string, unknown>>,
): readonly OptionSpec[] {
  return Object.entries(summaries).map(([key, summary]) => ({
    name: key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    value: "VALUE",
    summary,
    repeatable: key === "listen" || Array.isArray(defaults[key]),
  }));
}
