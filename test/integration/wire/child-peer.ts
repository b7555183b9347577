/** A peer in a process of its own, to be killed or stopped. Tells its name and addresses to its parent when it listens. */
import { createHost } from "../../../protocols/wire/libp2p-host.ts";
import { createLibp2pTransport } from "../../../protocols/wire/libp2p-transport.ts";
import { systemClock } from "../../../runtime/clock.ts";

const host = await createHost({
  privateKeySeed: Buffer.from(process.argv[2] as string, "hex"),
  listen: ["/ip4/127.0.0.1/tcp/0"],
});
const transport = createLibp2pTransport(host, { clock: systemClock, addressBook: { addressesOf: () => [] } });
await transport.serve("/intercloud/test/1.0.0", {
  asks: {
    hi: async () => "hi",
    hang: (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(null))),
  },
  channels: {
    endless: async (channel) => {
      await channel.sendBody(
        (async function* () {
          for (;;) yield new Uint8Array(64 * 1024);
        })(),
      );
    },
    slow: async (channel) => {
      await channel.sendMessage("started");
      await channel.sendMessage(await channel.receiveMessage());
    },
  },
});
process.on("disconnect", () => process.exit());
process.send?.({ name: transport.peer, addresses: host.getMultiaddrs().map(String) });
