/**
 * One life of a process: everything that it writes or sends goes through here, so that it can be killed at each of these steps. A process
 * that is killed stands still for ever: its code goes on nowhere, whatever it was waiting for.
 */
import type { Change, Store } from "../../../protocols/storage/index.ts";
import type { Channel, Handlers, IncomingBody, PeerName, Transport } from "../../../protocols/wire/transport.ts";
import type { CrashControl } from "./points.ts";

export interface Life {
  readonly name: string;
  readonly dead: boolean;
  /** As `kill -9`. */
  kill(): void;
  /** What a kill does besides. */
  atKill(action: () => void): void;
  /** Passes a value on if we are alive. */
  alive<T>(promise: Promise<T>): Promise<T>;
  /** A step before and after which we can be killed. */
  step<T>(what: string, action: () => Promise<T>): Promise<T>;
}

const NEVER = new Promise<never>(() => {});

export interface LifeOptions {
  readonly name: string;
  readonly control: CrashControl;
  /** Cuts the process off from its network. */
  readonly onKill: () => void;
  /** Called at each step: something is going on. */
  readonly onStep: () => void;
}

export function createLife({ name, control, onKill, onStep }: LifeOptions): Life {
  let dead = false;
  const atKill = [onKill];
  const kill = () => {
    if (dead) return;
    dead = true;
    for (const action of atKill) action();
  };
  const alive = async <T>(promise: Promise<T>): Promise<T> => {
    if (dead) return await NEVER;
    try {
      const value = await promise;
      return dead ? await NEVER : value;
    } catch (error) {
      return dead ? await NEVER : Promise.reject(error);
    }
  };
  return {
    name,
    get dead() {
      return dead;
    },
    kill,
    atKill: (action) => void atKill.push(action),
    alive,
    async step(what, action) {
      if (dead) return await NEVER;
      onStep();
      const nth = control.arrive(name, what);
      if (control.pass({ process: name, what, nth, when: "before" })) {
        kill();
        return await NEVER;
      }
      const value = await alive(action());
      onStep();
      if (control.pass({ process: name, what, nth, when: "after" })) {
        kill();
        return await NEVER;
      }
      return value;
    },
  };
}

/** The store as this process sees it. What it has written stays when it is killed, what it is writing does not. */
export function livingStore(life: Life, disk: Store): Store {
  return {
    get: (key) => life.alive(disk.get(key)),
    commit: (changes) => life.step(`commit ${kindsOf(changes)}`, () => disk.commit(changes)),
    entries: (prefix) => livingIterable(life, disk.entries(prefix)),
    bodies: {
      write: (name, source) =>
        life.step(`write ${kindOf(name)}`, () => disk.bodies.write(name, beginning(life, kindOf(name), source))),
      read: (name, offsetBytes) => livingIterable(life, disk.bodies.read(name, offsetBytes)),
      lengthBytes: (name) => life.alive(disk.bodies.lengthBytes(name)),
      remove: (name) => life.step(`remove ${kindOf(name)}`, () => disk.bodies.remove(name)),
      names: () => livingIterable(life, disk.bodies.names()),
    },
  };
}

/** A write that has begun is a place to be killed as well: nothing of the body is there then. */
async function* beginning(life: Life, kind: string, source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let first = true;
  for await (const chunk of source) {
    if (first) await life.step(`begin ${kind}`, async () => {});
    first = false;
    yield chunk;
  }
}

async function* livingIterable<T>(life: Life, source: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    const next = await life.alive(iterator.next());
    if (next.done) return;
    yield next.value;
  }
}

export function livingTransport(life: Life, transport: Transport, nameOf: (peer: PeerName) => string): Transport {
  return {
    peer: transport.peer,
    ask: (to, protocol, method, body, options) =>
      life.step(`ask ${nameOf(to)} to ${method}`, () => transport.ask(to, protocol, method, body, options)),
    open: (to, protocol, method, header, options) =>
      life.step(`open ${method} to ${nameOf(to)}`, async () => {
        const channel = await transport.open(to, protocol, method, header, options);
        return livingChannel(life, channel, `${method} to ${nameOf(to)}`);
      }),
    serve: (protocol, handlers) => life.alive(transport.serve(protocol, livingHandlers(life, handlers, nameOf))),
    close: () => life.alive(transport.close()),
  };
}

function livingHandlers(life: Life, { asks, channels }: Handlers, nameOf: (peer: PeerName) => string): Handlers {
  const livingAsks = Object.entries(asks ?? {}).map(([method, answer]) => {
    const living: typeof answer = (body, context) =>
      life.step(`answer ${method} of ${nameOf(context.from)}`, () => answer(body, context));
    return [method, living];
  });
  const livingChannels = Object.entries(channels ?? {}).map(([method, answer]) => {
    const living: typeof answer = (channel, header, context) => {
      const label = `${method} of ${nameOf(context.from)}`;
      return life.step(`serve ${label}`, () => answer(livingChannel(life, channel, label), header, context));
    };
    return [method, living];
  });
  return { asks: Object.fromEntries(livingAsks), channels: Object.fromEntries(livingChannels) };
}

function livingChannel(life: Life, channel: Channel, label: string): Channel {
  return {
    peer: channel.peer,
    sendMessage: (message) => life.step(`send a message on ${label}`, () => channel.sendMessage(message)),
    receiveMessage: () => life.step(`get a message on ${label}`, () => channel.receiveMessage()),
    sendBody: (source) => life.step(`send a body on ${label}`, () => channel.sendBody(source)),
    receiveBody: (options) => livingBody(life, channel.receiveBody(options), label),
    close: () => life.step(`close ${label}`, () => channel.close()),
    abort(reason) {
      if (!life.dead) channel.abort(reason);
    },
  };
}

function livingBody(life: Life, body: IncomingBody, label: string): IncomingBody {
  return {
    summary: () => body.summary(),
    async *[Symbol.asyncIterator]() {
      const iterator = body[Symbol.asyncIterator]();
      let ended = false;
      try {
        for (;;) {
          const next = await life.alive(iterator.next());
          if (next.done) break;
          yield next.value;
        }
        ended = true;
        await life.step(`get a body on ${label}`, async () => {});
      } finally {
        if (!ended && !life.dead) await iterator.return?.();
      }
    },
  };
}

/** What a commit changes, without ids: the same words in each run. */
function kindsOf(changes: readonly Change[]): string {
  return changes
    .map((change) => {
      if (change.kind === "append") return "event";
      return `${change.kind} ${kindOf(change.kind === "body" ? change.name : change.key)}`;
    })
    .join(", ");
}

function kindOf(name: string): string {
  return name.replace(/[/-]?[0-9a-f]{16,}.*$/, "");
}
