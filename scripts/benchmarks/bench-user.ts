/**
 * The user's process of a measured testnet: the product's client, and over the same transport the forward-only transfers.
 * Started with the client's home; takes tasks one by one from its parent.
 */
import { createClient } from "../../client/client.ts";
import { openHome } from "../../client/home.ts";
import { connect, directoryOf } from "../../client/open-client.ts";
import { renewedSessions } from "../../client/session.ts";
import { fileSource } from "../../client/sources.ts";
import { correctedPoints } from "../../protocols/dealing/points.ts";
import type { PeerName } from "../../protocols/wire/transport.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemEntropy } from "../../runtime/entropy.ts";
import { drain, pull, push, scatter } from "./forward-only.ts";
import { createSmallOperations } from "./small-operations.ts";
import type { Task, TaskResult, TransferTask } from "./tasks.ts";

const home = await openHome(process.argv[2] ?? "");
const { identityKey, federation, settings, shares, spoolDirectory, stock } = home;
const transport = await connect(federation);
const directory = directoryOf(federation);
const client = createClient({
  ...{ identityKey, settings, shares, spoolDirectory, stock, directory, clock: systemClock, entropy: systemEntropy },
  connect: async () => transport,
});
const providers = [...directory.providers];
const dealer = directory.dealers[0] as PeerName;
const first = providers[0] as PeerName;
const { threshold, copies } = { copies: Math.min(3, providers.length), threshold: settings.threshold };
const session = renewedSessions(identityKey, systemClock, systemEntropy);
const runSmall = createSmallOperations({ client, transport, session, providers, dealer, threshold, copies });

async function put({ file, route, lengthBytes }: TransferTask): Promise<string> {
  const source = await fileSource(file ?? "");
  const { token, tokenText } = await client.deposit(source, { route, form: "whole" });
  if (token.lengthBytes !== lengthBytes) throw new Error(`${token.lengthBytes} bytes were deposited`);
  return tokenText;
}

async function get({ token, route, lengthBytes }: TransferTask): Promise<void> {
  const { message } = await client.retrieve(token ?? "", { route });
  const gotBytes = await drain(message);
  if (gotBytes !== lengthBytes) throw new Error(`${gotBytes} bytes came back`);
}

/** Corrections from the dealer, then the message through all providers (or to home from everybody); the copies from home meanwhile. */
async function forwardPut({ route, lengthBytes }: TransferTask): Promise<void> {
  const corrected = correctedPoints(threshold, providers.length).map((point) => providers[point - 1] as PeerName);
  await scatter(transport, dealer, corrected, lengthBytes);
  const copyTo = providers.slice(1, copies);
  if (route === "chain") {
    await push(transport, [...providers, first], lengthBytes, copyTo);
  } else {
    const parts = providers.slice(1).map((peer) => scatter(transport, peer, [first], lengthBytes));
    await Promise.all([push(transport, [first], lengthBytes, copyTo), ...parts]);
  }
}

async function forwardGet({ route, lengthBytes }: TransferTask): Promise<void> {
  const members = providers.slice(0, threshold);
  if (route === "chain") await pull(transport, members.reverse(), lengthBytes);
  else await Promise.all(members.map((peer) => pull(transport, [peer], lengthBytes)));
}

async function run(task: Task): Promise<TaskResult> {
  const startedAtMs = performance.now();
  let token: string | undefined;
  try {
    if ("count" in task) return await runSmall(task);
    if (task.action === "put") token = await put(task);
    else if (task.action === "get") await get(task);
    else if (task.action === "forward-put") await forwardPut(task);
    else await forwardGet(task);
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  return token === undefined ? { seconds } : { seconds, token };
}

process.on("message", (task: Task) => void run(task).then((result) => process.send?.(result)));
process.on("disconnect", () => process.exit());
// Connected to everybody and its tag made: from here on it is idle.
await client.list();
process.send?.({ seconds: 0 } satisfies TaskResult);
