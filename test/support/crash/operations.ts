/** What users and operators do with a deposit, as commands that a crash can interrupt and that can be given again. */
import {
  type CustodyUser,
  changeDeposit,
  type Destruction,
  deposit,
  depositLot,
  destroy,
  grant,
  listDeposits,
  type MessageSource,
  repairDeposit,
  retrieve,
  revoke,
} from "../../../protocols/custody/client/index.ts";
// What is loaded when it is first needed takes real time, in which nothing seems to happen.
import "../../../protocols/dealing/lot/request-lot.ts";
import { identityOfKey } from "../../../protocols/identity/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { bytesOf } from "../bytes.ts";
import type { Action, CrashWorld, Federation } from "./world.ts";

/** What a command is about. */
export interface Scene {
  readonly world: CrashWorld;
  readonly federation: Federation;
  readonly message: Uint8Array;
  /** The deposit that was there before; undefined when the command makes one. */
  readonly tokenText: string | undefined;
}

export interface Command {
  readonly name: string;
  /** What it does to a deposit that is there. */
  readonly effect: "puts" | "keeps" | "destroys";
  /** The action of a new process. */
  begin(scene: Scene, clientName: string): Action;
  /** What is not as it should be when it has succeeded and all is over. */
  check?(scene: Scene): Promise<string[]>;
}

export interface Operation {
  readonly name: string;
  readonly providers: number;
  readonly message: Uint8Array;
  readonly protocol: 1 | 2 | 3;
  /** What was done before; the last of it may break something. */
  readonly before: readonly ("put" | "grant" | "wipe")[];
  /** At once. */
  readonly commands: readonly Command[];
  /** Whether two commands can both succeed without meeting, so that the deposit is there twice until the next one. */
  readonly forks?: boolean;
}

const SIGNAL = new AbortController().signal;
export const SHORT = bytesOf(700, 7);
/** Its corrections, and by fanout its layers, travel as streams of their own. */
export const LONG = bytesOf(80_000, 8);
/** The provider whose disk is wiped before a repair: neither home nor free of a correction. */
export const WIPED = 3;

export function userShareKey(dealId: Uint8Array): string {
  return Buffer.from(dealId).toString("hex");
}

/** An action of a client of the owner. */
function ofClient(
  name: string,
  effect: Command["effect"],
  act: (user: CustodyUser, scene: Scene) => Promise<unknown>,
): Command {
  return {
    ...{ name, effect },
    begin(scene, clientName) {
      const user = scene.world.client(clientName);
      return { life: scene.world.lifeOf(user), run: () => act(user, scene) };
    },
  };
}

export async function read(
  world: CrashWorld,
  user: CustodyUser,
  tokenText: string,
  route: "chain" | "fanout" = "fanout",
): Promise<Uint8Array> {
  const { message } = await retrieve(user, {
    ...{ token: parseTokenText(tokenText), route },
    userShare: async (_, dealId) => world.userShares.get(userShareKey(dealId))?.slice(),
  });
  const parts: Uint8Array[] = [];
  for await (const part of message) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

export async function listed(user: CustodyUser): Promise<string[]> {
  return (await listDeposits(user, SIGNAL)).deposits.map(({ tokenText }) => tokenText);
}

const keepShare = ({ world }: Scene, user: CustodyUser, dealId: Uint8Array, share: Uint8Array) =>
  world.lifeOf(user).step("keep its share", async () => {
    world.userShares.set(userShareKey(dealId), share.slice());
  });

const sourceOf = (message: Uint8Array): MessageSource => ({
  lengthBytes: message.length,
  async *open() {
    yield message.slice();
  },
});

export const PUT_THRESHOLD = 2;

const putting = (route: "chain" | "fanout", protocol: 1 | 2 | 3): Command =>
  ofClient(`put (${route}, Protocol ${protocol})`, "puts", async (user, scene) => {
    const { tokenText } = await deposit(user, {
      ...{ source: sourceOf(scene.message), protocol, route, providers: 4, threshold: PUT_THRESHOLD, copies: 2 },
      candidates: user.directory.providers,
      keepUserShare: (_, dealId, share) => keepShare(scene, user, dealId, share),
    });
    return tokenText;
  });

/** Two deposits of the same message. */
const puttingLot = ofClient("put a lot", "puts", async (user, { message }) => {
  const deposits = await depositLot(user, {
    ...{ messages: [message, message], providers: 4, threshold: PUT_THRESHOLD, copies: 2 },
    candidates: user.directory.providers,
  });
  return deposits.map(({ tokenText }) => tokenText);
});

const getting = (route: "chain" | "fanout"): Command =>
  ofClient(`get (${route})`, "keeps", async (user, { world, message, tokenText }) => {
    const bytes = await read(world, user, tokenText!, route);
    if (Buffer.compare(bytes, message) !== 0) throw new Error("other bytes than were put");
  });

const refreshing = ofClient("refresh", "keeps", (user, scene) =>
  changeDeposit(user, {
    token: parseTokenText(scene.tokenText!),
    keepUserShare: (_, { after }, share) => keepShare(scene, user, after, share),
  }),
);

const moving = (...numbers: number[]): Command =>
  ofClient(`move to ${numbers.join(" ")}`, "keeps", (user, scene) =>
    changeDeposit(user, {
      token: parseTokenText(scene.tokenText!),
      destination: {
        ...{ providers: numbers.length, threshold: 2, copies: 2 },
        candidates: numbers.map((number) => scene.world.peers[number - 1]!),
      },
      keepUserShare: (_, { after }, share) => keepShare(scene, user, after, share),
    }),
  );

const repairing = ofClient("repair", "keeps", async (user, { tokenText }) => {
  const { providers } = await repairDeposit(user, parseTokenText(tokenText!), SIGNAL);
  const failure = providers.find(({ error }) => error !== undefined)?.error;
  if (failure !== undefined) throw failure;
});

const restoring: Command = {
  ...{ name: "restore", effect: "keeps" },
  begin: ({ world }) => ({
    life: world.lifeOfProvider(WIPED),
    async run() {
      const { failed, missing } = await world.restore(WIPED);
      if (failed.length > 0) throw failed[0]!.error;
      if (missing.length > 0)
        throw new IntercloudError("RESTORE_PARTIAL", "unreachable", "not everybody told what there is");
    },
  }),
};

const friendOf = ({ federation }: Scene) => identityOfKey(federation.friend.publicKey);

/** Whether the friend can read it. */
async function isOpenToFriend({ world, message, tokenText }: Scene): Promise<boolean> {
  try {
    const bytes = await world.finish(() => read(world, world.client("friend", "friend"), tokenText!));
    return Buffer.compare(bytes, message) === 0;
  } catch (error) {
    if ((error as { code?: string }).code === "NOT_THE_OWNER") return false;
    throw error;
  }
}

const granting: Command = {
  ...ofClient("grant", "keeps", (user, scene) =>
    grant(user, {
      ...{ token: parseTokenText(scene.tokenText!), identity: friendOf(scene) },
      ...{ purposes: ["retrieve", "show"], expiresAtMs: null, signal: SIGNAL },
    }),
  ),
  check: async (scene) => ((await isOpenToFriend(scene)) ? [] : ["who was granted it cannot read it"]),
};

const revoking: Command = {
  ...ofClient("revoke", "keeps", async (user, scene) => {
    try {
      await revoke(user, { token: parseTokenText(scene.tokenText!), identity: friendOf(scene), signal: SIGNAL });
    } catch (error) {
      // Given a second time, it has nothing to do.
      if ((error as { code?: string }).code !== "NO_SUCH_GRANT") throw error;
    }
  }),
  check: async (scene) => ((await isOpenToFriend(scene)) ? ["whose grant was revoked can read it"] : []),
};

const destroying = ofClient("destroy", "destroys", async (user, { tokenText }): Promise<Destruction> => {
  return await destroy(user, parseTokenText(tokenText!), SIGNAL);
});

const operation = (
  commands: readonly Command[],
  before: Operation["before"] = ["put"],
  more: Partial<Operation> = {},
): Operation => ({
  name: commands.map(({ name }) => name).join(" + "),
  ...{ providers: 4, message: SHORT, protocol: 3, before, commands },
  ...more,
});

/** One command at a time. */
const SINGLE: readonly Operation[] = [
  operation([putting("chain", 3)], []),
  operation([putting("fanout", 3)], []),
  operation([putting("chain", 1)], [], { protocol: 1 }),
  operation([putting("chain", 2)], [], { protocol: 2 }),
  operation([putting("fanout", 2)], [], { protocol: 2 }),
  operation([putting("chain", 3)], [], { name: "put of a longer message (chain, Protocol 3)", message: LONG }),
  operation([putting("fanout", 3)], [], { name: "put of a longer message (fanout, Protocol 3)", message: LONG }),
  operation([puttingLot], []),
  operation([getting("fanout")]),
  operation([getting("chain")]),
  operation([refreshing]),
  operation([refreshing], ["put"], { name: "refresh (Protocol 1)", protocol: 1 }),
  operation([refreshing], ["put"], { name: "refresh (Protocol 2)", protocol: 2 }),
  operation([moving(5, 4, 3)], ["put", "grant"], { providers: 5 }),
  operation([moving(5, 6, 7)], ["put", "grant"], { providers: 7 }),
  operation([repairing], ["put", "wipe"]),
  operation([restoring], ["put", "wipe"]),
  operation([granting]),
  operation([revoking], ["put", "grant"]),
  operation([destroying], ["put", "grant"]),
];

/** Two commands of two clients of one owner at once. */
const PAIRS: readonly Operation[] = [
  operation([refreshing, getting("fanout")]),
  operation([refreshing, destroying]),
  operation([refreshing, granting]),
  operation([refreshing, refreshing]),
  operation([moving(4, 5), moving(2, 3, 1)], ["put"], { providers: 5, forks: true }),
  operation([moving(4, 5, 6), destroying], ["put"], { providers: 6 }),
  operation([repairing, refreshing], ["put", "wipe"]),
];

export const ALL: readonly Operation[] = [...SINGLE, ...PAIRS];

/** What brought the scene about, before anybody is killed. */
export function preparing(operation: Operation): Command[] {
  const commands = { put: putting("chain", operation.protocol), grant: granting };
  return operation.before.flatMap((step) => (step === "wipe" ? [] : [commands[step]]));
}
