/**
 * libp2p's TCP, where what is sent at once becomes one system call. A packet of Noise is its length and its bytes, and libp2p
 * gives each piece to the system by itself: twice the calls and segments, and a receiver that wakes up twice for each packet.
 */
import type { MultiaddrConnection, Transport, Upgrader } from "@libp2p/interface";
import { type TCPComponents, tcp } from "@libp2p/tcp";

export function tcpAtOnce(): (components: TCPComponents) => Transport {
  const createTransport = tcp();
  return (components) => {
    const transport = createTransport(components);
    const dial = transport.dial.bind(transport);
    const createListener = transport.createListener.bind(transport);
    transport.dial = (address, options) => dial(address, { ...options, upgrader: corking(options.upgrader) });
    transport.createListener = (options) => createListener({ ...options, upgrader: corking(options.upgrader) });
    return transport;
  };
}

/** The same upgrader; each connection passes here before anything is sent on it. */
function corking(upgrader: Upgrader): Upgrader {
  return new Proxy(upgrader, {
    get(_, name) {
      const value: unknown = upgrader[name as keyof Upgrader];
      if (typeof value !== "function") return value;
      const method = value.bind(upgrader);
      if (name !== "upgradeInbound" && name !== "upgradeOutbound") return method;
      return (connection: MultiaddrConnection, options: unknown) => {
        cork(connection as unknown as TcpConnection);
        return method(connection, options);
      };
    },
  });
}

/** What is inside of libp2p's connection. */
interface TcpConnection {
  readonly socket: { cork(): void; uncork(): void };
  sendData(data: Iterable<Uint8Array>): unknown;
}

function cork(connection: TcpConnection): void {
  const { socket } = connection;
  const sendData = connection.sendData.bind(connection);
  let corked = false;
  connection.sendData = (data) => {
    if (!corked) {
      corked = true;
      socket.cork();
      queueMicrotask(() => {
        corked = false;
        socket.uncork();
      });
    }
    return sendData(data);
  };
}
