import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { NODE_DEFAULTS, NODE_SETTING_SUMMARIES } from "../../../node/config.ts";
import { DEALER_DEFAULTS, DEALER_SETTING_SUMMARIES } from "../../../rng-dealer/config.ts";
import { envNameOf } from "../../../runtime/config.ts";
import { settingOptions } from "../../../runtime/setting-options.ts";

const summaryByKey = { host: "where", tagList: "which", listen: "on what" };

test("each setting has a flag, and a list may be given several times", () => {
  expect(settingOptions(summaryByKey, { host: "h", tagList: [] })).toEqual([
    { name: "host", value: "VALUE", summary: "where", repeatable: false },
    { name: "tag-list", value: "VALUE", summary: "which", repeatable: true },
    { name: "listen", value: "VALUE", summary: "on what", repeatable: true },
  ]);
});

test.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, unknown>>]>([
  ["A dealer", DEALER_SETTING_SUMMARIES, DEALER_DEFAULTS],
  ["Configuration", NODE_SETTING_SUMMARIES, NODE_DEFAULTS],
])(
  "docs/operating.md, %s: the table has every setting, its default and its meaning",
  async (heading, summaries, defaults) => {
    const text = await readFile(new URL("../../../docs/operating.md", import.meta.url), "utf8");
    const section = text.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? "";
    const rows = [...section.matchAll(/^\| `(\w+)` \| `(\w+)` \| (.*?) \| (.*) \|$/gm)].map((match) => match.slice(1));
    const expected = Object.entries(summaries).map(([key, summary]) => [
      key,
      envNameOf(key),
      key in defaults ? `\`${JSON.stringify(defaults[key])}\`` : "(init asks)",
      summary,
    ]);
    expect(rows).toEqual(expected);
  },
);
