import { rename, stat } from "node:fs/promises";
import path from "node:path";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import {
  type Command,
  type CommandContext,
  switchOption,
  textOption,
  usageError,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import { createLog } from "../../runtime/log.ts";
import { loadNodeConfig } from "../config.ts";
import { type RestoredNode, restoreNode } from "../run.ts";

export const command: Command = {
  name: "node restore",
  summary: "get everything back from the other providers after a disk was lost",
  options: [
    { name: "dir", value: "DIR", summary: "the node's directory, with its key file, config and federation file" },
    { name: "passphrase-file", value: "FILE", summary: "the file with the passphrase of the key file" },
    { name: "discard-store", summary: "put a store that is damaged aside and begin with an empty one" },
  ],
  async run(context) {
    const given = textOption(context, "dir");
    if (given === undefined) throw usageError("a node needs --dir");
    const directory = path.resolve(given);
    // Any free port: a node that still runs should be noticed by its store, not by its port.
    const settings = { directory, env: { ...context.env, INTERCLOUD_ADMIN_PORT: "0" } };
    if (switchOption(context, "discard-store")) await putStoreAside(context, settings);
    const log = createLog({ level: "error" });
    const options = { ...settings, passphraseFile: textOption(context, "passphrase-file"), log };
    const report = await restoreNode(options, context.signal, () => {});
    await tell(context, report);
  },
};

async function putStoreAside(context: CommandContext, settings: Parameters<typeof loadNodeConfig>[0]): Promise<void> {
  const { storeDirectory } = await loadNodeConfig(settings);
  const found = await stat(storeDirectory).catch(() => undefined);
  if (found === undefined) return;
  const aside = `${storeDirectory}.aside-${new Date().toISOString().replaceAll(":", "")}`;
  await rename(storeDirectory, aside);
  await writeText(context.stderr, `the store was put aside as ${aside}; delete it when all is back\n`);
}

/** @throws IntercloudError NOT_ALL_RESTORED (exit 4). */
async function tell(context: CommandContext, { good, restored, failed, missing, nameOf }: RestoredNode): Promise<void> {
  const failures = failed.map(({ tokenId, error }) => ({
    tokenId: Buffer.from(tokenId).toString("hex"),
    code: error.code,
    message: error.message,
  }));
  const absent = missing.map(nameOf);
  if (context.json) await writeJson(context, { good, restored, failed: failures, missing: absent });
  else await writeText(context.stdout, `${restored} deposits restored, ${good} were whole already\n`);
  if (failures.length === 0 && absent.length === 0) return;
  const why = [
    ...(failures.length === 0 ? [] : [`${failures.length} deposits could not be restored (${failures[0]!.message})`]),
    ...(absent.length === 0 ? [] : [`${absent.join(", ")} did not tell which deposits it knows of`]),
  ].join("; ");
  const details = { answered: good + restored, needed: good + restored + failures.length, peers: missing };
  throw new IntercloudError(
    "NOT_ALL_RESTORED",
    "unreachable",
    `${why}; run it again when all providers are up`,
    details,
  );
}
