import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";

export const command: Command = {
  name: "stock fill",
  summary: "fetch deals ahead, so that encrypt goes on with every dealer away",
  options: [PASSPHRASE_OPTION],
  async run(context) {
    await withClient(context, async ({ stock }) => {
      const fetched = await stock.fill({ signal: context.signal });
      const inStock = (await stock.list()).length;
      if (context.json) await writeJson(context, { fetched, stock: inStock, size: stock.size });
      else await writeText(context.stdout, `fetched ${fetched}, ${inStock} in stock\n`);
    });
  },
};
