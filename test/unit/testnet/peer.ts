/**
 * A stand-in for a peer: serves /readyz on its admin port. Arguments: port, and one of
 *   ready | slow (ready after a moment) | never | dies (says why, then exits) | stubborn (ignores SIGTERM)
 */
import { createServer } from "node:http";

const [port, behaviour] = process.argv.slice(2);

if (behaviour === "dies") {
  process.stderr.write("cannot open the store: it is damaged\n");
  process.exit(1);
}
process.on("SIGTERM", () => {
  if (behaviour !== "stubborn") process.exit(0);
});

let asked = 0;
createServer((_request, response) => {
  asked++;
  const ready = behaviour !== "never" && (behaviour !== "slow" || asked > 3);
  response.writeHead(ready ? 200 : 503, { "content-type": "application/json" });
  response.end(JSON.stringify({ ready, causes: ready ? [] : [{ code: "NO_PEERS", message: "not connected" }] }));
}).listen(Number(port), "127.0.0.1");
