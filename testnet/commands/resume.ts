import type { Command } from "../../runtime/command.ts";
import { openTestnet } from "../plan.ts";
import { resumePeers } from "../stop.ts";
import { DIR_OPTION, directoryOf, NAMES_ARGUMENT, namedPeers, writeStates } from "./shared.ts";

export const command: Command = {
  name: "testnet resume",
  summary: "let frozen peers go on (SIGCONT)",
  arguments: [NAMES_ARGUMENT],
  options: [DIR_OPTION],
  async run(context) {
    const testnet = await openTestnet(directoryOf(context));
    const peers = namedPeers(context, testnet);
    await resumePeers(testnet, peers);
    await writeStates(context, testnet, peers);
  },
};
