/** Free TCP ports on the loopback address for peers that will listen there again and again. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { IntercloudError } from "../protocols/wire/errors.ts";

// Below the range that systems take ports for outgoing connections from (Linux: 32768 and up), so that a peer that was
// killed finds its port free when it comes back. Above the ports of the usual services.
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;
const MAX_TRIES_PER_PORT = 100;

/**
 * `count` different ports, each of which could be listened on just now. They are held until all are found, so that two
 * testnets that start at the same time do not choose the same ones.
 * @throws IntercloudError NO_FREE_PORT
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  try {
    for (let tries = 0; ports.length < count; tries++) {
      if (tries > count * MAX_TRIES_PER_PORT) {
        throw new IntercloudError(
          "NO_FREE_PORT",
          "internal",
          `found only ${ports.length} of ${count} free ports from ${LOWEST_PORT} to ${HIGHEST_PORT}; stop another testnet`,
        );
      }
      const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
      const server = createServer().listen({ port, host: "127.0.0.1", exclusive: true });
      try {
        await once(server, "listening");
        held.push(server);
        ports.push(port);
      } catch {
        server.close();
      }
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  return ports;
}
