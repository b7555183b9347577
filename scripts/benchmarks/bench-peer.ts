/** A peer of a measured testnet: the product's node or dealer, which serves the forward-only protocol as well. */
import { runNode } from "../../node/run.ts";
import { runDealer } from "../../rng-dealer/run.ts";
import { BENCH_PROTOCOL, forwardOnlyHandlers } from "./forward-only.ts";

const [kind = "", directory = ""] = process.argv.slice(2);
const run = kind === "dealer" ? runDealer : runNode;
const exitCode = await run({
  directory,
  alsoServe: (transport) => ({ [BENCH_PROTOCOL]: forwardOnlyHandlers(transport) }),
});
process.exit(exitCode);
