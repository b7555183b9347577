import type { Command } from "../../runtime/command.ts";
import { openTestnet } from "../plan.ts";
import { startPeers } from "../start.ts";
import { DIR_OPTION, directoryOf, NAMES_ARGUMENT, namedPeers, writeStates } from "./shared.ts";

export const command: Command = {
  name: "testnet start",
  summary: "start peers that do not run, and wait until they are ready",
  arguments: [NAMES_ARGUMENT],
  options: [DIR_OPTION],
  async run(context) {
    const testnet = await openTestnet(directoryOf(context));
    const peers = namedPeers(context, testnet);
    await startPeers(testnet, peers, { signal: context.signal });
    await writeStates(context, testnet, peers);
  },
};
