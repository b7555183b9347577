/** A TCP relay that hands on every byte so much later, in both directions. */
import { connect, createServer, type Socket } from "node:net";
import { atEnd } from "./cleanup.ts";

/** Listens on `port` and relays to `toPort`, both on loopback. @param delayMs one way. */
export async function startDelayProxy(port: number, toPort: number, delayMs: number): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: toPort, host: "127.0.0.1", noDelay: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes) => void setTimeout(() => to.writable && to.write(bytes), delayMs));
      from.on("end", () => void setTimeout(() => to.end(), delayMs));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        setTimeout(() => to.destroy(), delayMs);
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  atEnd(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
}
