/** A peer of a measured testnet: the product's node or dealer, which serves what it is held against as well. */

import { renewedSessions } from "../../client/session.ts";
import { runNode } from "../../node/run.ts";
import { newSigner } from "../../protocols/crypto/signing.ts";
import { runDealer } from "../../rng-dealer/run.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemEntropy } from "../../runtime/entropy.ts";
import { BENCH_PROTOCOL, forwardOnlyHandlers } from "./forward-only.ts";
import { signedHandlers } from "./signed-asks.ts";

/** Where it listens when that is not what the federation says: something in between delays what passes. */
const [kind = "", directory = "", listen] = process.argv.slice(2);
const session = renewedSessions(newSigner(systemEntropy), systemClock, systemEntropy);
const run = kind === "dealer" ? runDealer : runNode;
const exitCode = await run({
  directory,
  ...(listen === undefined ? {} : { flags: { listen: [listen] } }),
  alsoServe: (transport) => {
    const forward = forwardOnlyHandlers(transport);
    const asks = { ...forward.asks, ...signedHandlers(transport, session).asks };
    return { [BENCH_PROTOCOL]: { ...forward, asks } };
  },
});
process.exit(exitCode);
