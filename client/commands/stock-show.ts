import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";
import { tableText } from "./text.ts";

export const command: Command = {
  name: "stock show",
  summary: "list the deals that were fetched ahead",
  options: [PASSPHRASE_OPTION],
  async run(context) {
    await withClient(context, async ({ stock }) => {
      const deals = (await stock.list()).map(({ expiresAtMs, ...deal }) => ({
        ...deal,
        expires: new Date(expiresAtMs).toISOString(),
      }));
      if (context.json) {
        await writeJson(context, { deals, size: stock.size });
        return;
      }
      const header = ["DEALER", "T OF N", "PROVIDERS", "EXPIRES", "FITS"];
      const rows = deals.map(({ dealer, threshold, providers, expires, fits }) => [
        ...[dealer, `${threshold} of ${providers.length}`, providers.join(", "), expires],
        fits ? "yes" : "no: other settings",
      ]);
      if (rows.length > 0) await writeText(context.stdout, tableText([header, ...rows]));
      else await writeText(context.stderr, "there are no deals in stock\n");
    });
  },
};
