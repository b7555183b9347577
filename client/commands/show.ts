import { systemClock } from "../../runtime/clock.ts";
import { type Command, textOption, writeJson, writeText } from "../../runtime/command.ts";
import type { ProviderState } from "../client-api.ts";
import { checkOutput, writeOutput } from "../output-file.ts";
import { expiryText, isoOrNull } from "./expiry.ts";
import { grantJson, grantsTable } from "./grants-text.ts";
import { dealerText, failWhenBroken, formText, neededText } from "./proof-text.ts";
import { listed, oneChunk, PASSPHRASE_OPTION, tokenArgument, withClient } from "./shared.ts";
import { bytesText, printable, tableText } from "./text.ts";

export const command: Command = {
  name: "show",
  summary: "show what a token stands for, and who holds it and answers now",
  arguments: [{ name: "TOKEN", summary: "as put printed it; - reads it from stdin" }],
  options: [
    { name: "proof", value: "FILE", summary: "write the proof of the deposit, which verify and trace check offline" },
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const tokenText = await tokenArgument(context);
    const proofFile = textOption(context, "proof");
    if (proofFile !== undefined) await checkOutput(proofFile, { force: false });
    await withClient(context, async (client, { notes }) => {
      const { report, proof, providers, grants, grant } = await client.show(tokenText, { signal: context.signal });
      if (proofFile !== undefined) await writeOutput(proofFile, oneChunk(proof), { force: false });
      const name = (await notes.find(report.token))?.name ?? null;
      const { links: _, keeping: __, ...about } = report;
      if (context.json) {
        const holders = providers.map(({ destroyedAtMs, ...each }) => ({
          ...each,
          destroyed: isoOrNull(destroyedAtMs),
        }));
        const lines = grants?.map(({ identity, ...terms }) => ({ identity, ...grantJson(terms) })) ?? null;
        await writeJson(context, { ...about, name, holders, grants: lines, grant: grant && grantJson(grant) });
      } else {
        const answering = providers.filter(({ answers }) => answers).length;
        const fields = [
          ["token", report.token],
          ["name", printable(name ?? "-")],
          ["owner", report.owner],
          ["home", report.place.home],
          ["dealer", dealerText(report)],
          ["time", report.time],
          ["length", `${bytesText(report.lengthBytes)} (${report.lengthBytes} bytes)`],
          ["form", formText(report)],
          ["protocol", `${report.protocol}, deposited by ${report.route}`],
          ["needed", neededText(report)],
          ["answering", `${answering} of ${providers.length} now`],
          ...(report.place.changed === null
            ? []
            : [["changed", `${report.place.changed}, generation ${report.place.generation}`]]),
          ["chain", report.valid ? "valid" : "BROKEN; see trace"],
          ...(grant === null ? [] : [["granted", `${grant.purposes.join(", ")}, ${expiryText(grant.expiresAtMs)}`]]),
        ];
        const rows = providers.map((each, i) => [
          each.name,
          ...(each.destroyedAtMs === null
            ? [
                each.answers ? "answers" : "does not answer",
                copyText(each, i < report.place.copies, report.envelope !== null),
              ]
            : ["destroyed", `at ${isoOrNull(each.destroyedAtMs)}`]),
        ]);
        const granted = grants?.length ? `\n${grantsTable(grants, systemClock.nowMs())}` : "";
        await writeText(context.stdout, `${tableText(fields)}\n${tableText(rows)}${granted}`);
      }
      failWhenBroken(report);
    });
  },
};

/** What it holds; of a keeper that does not answer, what it should hold. */
function copyText(
  { answers, holdsCiphertext, holdsEnvelope }: ProviderState,
  keeper: boolean,
  hasEnvelope: boolean,
): string {
  const kept = [
    { what: "ciphertext", isHere: holdsCiphertext, isDue: keeper },
    { what: "envelope", isHere: holdsEnvelope, isDue: keeper && hasEnvelope },
  ];
  const here = kept.filter(({ isHere, isDue }) => isHere || (isDue && !answers)).map(({ what }) => what);
  const missing = kept.filter(({ isHere, isDue }) => isDue && answers && !isHere).map(({ what }) => what);
  const lost = missing.length === 0 ? "" : `; its copy of the ${listed(missing)} is missing`;
  return listed(["share", ...here]) + lost;
}
