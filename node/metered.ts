/** Handlers and the store as they are, with a look at how long each call took and how it ended. */
import type { Store } from "../protocols/storage/index.ts";
import type { Handlers } from "../protocols/wire/transport.ts";
import { type NodeEvents, statusOf } from "./events.ts";

export function meteredHandlers(
  protocol: string,
  { asks = {}, channels = {} }: Handlers,
  events: NodeEvents,
  onError: (error: unknown) => void,
): Handlers {
  function metered<A extends unknown[], R>(method: string, handler: (...args: A) => Promise<R>) {
    return async (...args: A): Promise<R> => {
      const startedAt = performance.now();
      let status: Parameters<NodeEvents["onAnswer"]>[2] = "ok";
      try {
        return await handler(...args);
      } catch (error) {
        status = statusOf(error);
        onError(error);
        throw error;
      } finally {
        events.onAnswer(protocol, method, status, (performance.now() - startedAt) / 1000);
      }
    };
  }
  const all = <A extends unknown[], R>(handlers: Readonly<Record<string, (...args: A) => Promise<R>>>) =>
    Object.fromEntries(Object.entries(handlers).map(([method, handler]) => [method, metered(method, handler)]));
  return { asks: all(asks), channels: all(channels) };
}

/**
 * @param onRemove called when a body was removed. Whatever burns a deal or a deposit removes a body, so this tells that
 * the store's files still hold something that should be gone from them.
 */
export function meteredStore(store: Store, events: NodeEvents, onRemove: () => void): Store {
  const { bodies } = store;
  return {
    get: (key) => store.get(key),
    entries: (prefix) => store.entries(prefix),
    async commit(changes) {
      const startedAt = performance.now();
      await store.commit(changes);
      events.onCommit((performance.now() - startedAt) / 1000);
    },
    bodies: {
      write: (name, source) => bodies.write(name, source),
      read: (name, offsetBytes) => bodies.read(name, offsetBytes),
      lengthBytes: (name) => bodies.lengthBytes(name),
      names: () => bodies.names(),
      async remove(name) {
        onRemove();
        await bodies.remove(name);
      },
    },
  };
}
