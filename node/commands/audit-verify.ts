import path from "node:path";
import type { SignedFederation } from "../../protocols/identity/federation.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import {
  type Command,
  type CommandContext,
  listOption,
  textOption,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import { readDescriptor } from "../../runtime/descriptor-file.ts";
import { readFederation } from "../../runtime/federation.ts";
import { readDisclosure, readReceipt } from "../audit/files.ts";
import { reportLog } from "../audit/report.ts";
import { failWhenBroken, reportText } from "../audit/report-text.ts";
import { DESCRIPTOR_FILE, type NodeConfig } from "../config.ts";
import { configOf, DIR_OPTION, FILE_ARGUMENT, requireOneLog, URL_OPTION, withLog } from "./audit-shared.ts";

export const command: Command = {
  name: "audit verify",
  summary: "find any entry of a node's audit log that was removed, altered or reordered",
  arguments: [FILE_ARGUMENT],
  options: [
    DIR_OPTION,
    URL_OPTION,
    {
      name: "receipt",
      value: "FILE",
      summary: "a head (audit head) or export of an earlier day that the log must go on from",
      repeatable: true,
    },
    {
      name: "federation",
      value: "FILE",
      summary: "the federation file that the node must be in (default: the node's own with --dir)",
    },
    { name: "disclosure", value: "FILE", summary: "show the event that audit disclose gave the key of" },
  ],
  async run(context) {
    const [file] = context.args;
    requireOneLog(context, file);
    const receipts = await Promise.all(
      listOption(context, "receipt").map(async (name) => ({ file: name, signedHead: await readReceipt(name) })),
    );
    const disclosureFile = textOption(context, "disclosure");
    const disclosure = disclosureFile === undefined ? undefined : await readDisclosure(disclosureFile);
    const config = await configOf(context);
    const federation = await federationOf(context, config);
    const peer = config === undefined ? undefined : await peerOf(context);
    const report = await withLog(context, config, file, (source) =>
      reportLog({ source, receipts, peer, federation, disclosure }),
    );
    if (context.json) await writeJson(context, report);
    else await writeText(context.stdout, reportText(report));
    failWhenBroken(report);
  },
};

/** The one that was named; else the node's own, as it would take it. */
async function federationOf(
  context: CommandContext,
  config: NodeConfig | undefined,
): Promise<SignedFederation | undefined> {
  const named = textOption(context, "federation");
  if (named !== undefined) return await readFederation(named);
  if (config === undefined) return undefined;
  const founder = config.founder === "" ? undefined : new Uint8Array(Buffer.from(config.founder, "hex"));
  return await unlessMissing("FEDERATION_MISSING", readFederation(config.federationFile, founder));
}

/** Whose directory it is. */
async function peerOf(context: CommandContext): Promise<string | undefined> {
  const file = path.join(textOption(context, "dir") ?? "", DESCRIPTOR_FILE);
  return (await unlessMissing("DESCRIPTOR_MISSING", readDescriptor(file)))?.peer;
}

async function unlessMissing<T>(code: string, reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof IntercloudError && error.code === code) return undefined;
    throw error;
  }
}
