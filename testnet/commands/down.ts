import type { Command } from "../../runtime/command.ts";
import { withLock } from "../lock.ts";
import { openTestnet } from "../plan.ts";
import { stopPeers } from "../stop.ts";
import { DIR_OPTION, directoryOf, remark, writeStates } from "./shared.ts";

export const command: Command = {
  name: "testnet down",
  summary: "stop all peers and keep their data",
  options: [DIR_OPTION],
  async run(context) {
    const testnet = await openTestnet(directoryOf(context));
    const { peers } = testnet.plan;
    const killed = await withLock(testnet.directory, () => stopPeers(testnet, peers));
    if (killed.length > 0) await remark(context, `did not stop when asked and had to be killed: ${killed.join(", ")}`);
    await writeStates(context, testnet, peers);
  },
};
