import { mkdir } from "node:fs/promises";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { type Command, type CommandContext, integerBetween, numberOption, usageError } from "../../runtime/command.ts";
import { createTestnet, type TestnetShape } from "../create.ts";
import { withLock } from "../lock.ts";
import { clientHome, findTestnet, type Testnet } from "../plan.ts";
import { startPeers } from "../start.ts";
import { peerState } from "../status.ts";
import { warmUp } from "../warm-up.ts";
import { DIR_OPTION, directoryOf, remark, writeStatus } from "./shared.ts";

const MAX_PROVIDERS = 254; // as many points as there are, one of them the user's
const MAX_DEALERS = 8; // each is a process of this machine; one deals, the others stand in for it
const DEFAULT_SHAPE: TestnetShape = { providers: 5, threshold: 3, dealers: 1 };

export const command: Command = {
  name: "testnet up",
  summary: "start a testnet and return when all its peers are ready",
  options: [
    {
      name: "providers",
      value: "N",
      summary: "how many providers (default: 5)",
      parse: integerBetween(2, MAX_PROVIDERS),
    },
    {
      name: "threshold",
      value: "T",
      summary: "how many of them a deposit needs to be given back (default: 3)",
      parse: integerBetween(2, MAX_PROVIDERS),
    },
    { name: "dealers", value: "N", summary: "how many dealers (default: 1)", parse: integerBetween(1, MAX_DEALERS) },
    DIR_OPTION,
  ],
  async run(context) {
    const directory = directoryOf(context);
    if ((await findTestnet(directory)) === undefined) askedShape(context); // wrong numbers leave no directory behind
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const testnet = await withLock(directory, async () => {
      const existing = await findTestnet(directory);
      const testnet =
        existing === undefined ? await createTestnet(directory, askedShape(context)) : await reuse(context, existing);
      const startMs = performance.now();
      await remark(context, `starting ${testnet.plan.peers.length} processes in ${directory} ...`);
      await warmUp(context.signal);
      await startPeers(testnet, testnet.plan.peers, { signal: context.signal });
      await remark(context, `all are ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
      return testnet;
    });
    await writeStatus(context, testnet);
    await remark(context, `use it with:  export INTERCLOUD_HOME=${clientHome(directory)}`);
  },
};

/** What a new testnet is to be like. @throws IntercloudError USAGE */
function askedShape(context: CommandContext): TestnetShape {
  const providers = numberOption(context, "providers") ?? DEFAULT_SHAPE.providers;
  const shape: TestnetShape = {
    providers,
    threshold: numberOption(context, "threshold") ?? Math.min(DEFAULT_SHAPE.threshold, providers),
    dealers: numberOption(context, "dealers") ?? DEFAULT_SHAPE.dealers,
  };
  if (shape.threshold > shape.providers) {
    throw usageError(
      `--threshold ${shape.threshold} needs at least as many providers, and there are ${shape.providers}`,
    );
  }
  return shape;
}

/** A testnet that was stopped goes on with the data it had. */
async function reuse(context: CommandContext, testnet: Testnet): Promise<Testnet> {
  const { peers, threshold } = testnet.plan;
  const shape: TestnetShape = {
    providers: peers.filter(({ kind }) => kind === "provider").length,
    threshold,
    dealers: peers.filter(({ kind }) => kind === "dealer").length,
  };
  for (const [name, value] of Object.entries(shape)) {
    const asked = numberOption(context, name);
    if (asked === undefined || asked === value) continue;
    throw usageError(
      `the testnet in ${testnet.directory} was made with --${name} ${value}; leave the option out, or name another --dir`,
    );
  }
  for (const peer of peers) {
    const { state } = await peerState(testnet, peer);
    if (state !== "running" && state !== "paused") continue;
    throw new IntercloudError(
      "TESTNET_RUNNING",
      "conflict",
      `the testnet in ${testnet.directory} is up already (${peer.name} is ${state}); ` +
        "`testnet start NAME` starts a dead peer of it, `testnet down` stops all",
    );
  }
  return testnet;
}
