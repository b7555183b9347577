import type { Command } from "../../runtime/command.ts";
import { openTestnet } from "../plan.ts";
import { DIR_OPTION, directoryOf, writeStatus } from "./shared.ts";

export const command: Command = {
  name: "testnet status",
  summary: "say how each peer is",
  options: [DIR_OPTION],
  async run(context) {
    await writeStatus(context, await openTestnet(directoryOf(context)));
  },
};
