import { readFile, stat } from "node:fs/promises";
import { aesKeystream } from "../../protocols/crypto/keystream.ts";
import type { Verdict } from "../../protocols/custody/evidence.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { argumentAt, type Command, textOption, writeJson, writeText } from "../../runtime/command.ts";
import { readFederation } from "../../runtime/federation.ts";
import { findFederation } from "../home.ts";
import { directoryOf } from "../open-client.ts";

/** The longest evidence holds t+1 excerpts of 8 MiB; more than this is no evidence of ours. */
const MAX_EVIDENCE_BYTES = 256 * 1024 * 1024;

const DEEDS: Readonly<Record<Verdict["kind"], string>> = {
  "wrong-share": "gave account, signed, of another share than the dealer dealt it",
  "wrong-ciphertext": "gave account, signed, of another ciphertext than home signed for",
  lost: "says itself, signed, that it lost what it should keep",
  "wrong-answer": "signed an answer that its share does not make",
  "wrong-deal": "signed a deal whose shares do not belong together",
};

export const command: Command = {
  name: "verify-evidence",
  summary: "check a file that says that a provider or dealer lied",
  arguments: [{ name: "FILE", summary: "as get wrote it into the home's folder evidence/" }],
  options: [{ name: "federation", value: "FILE", summary: "the federation file (default: this home's)" }],
  async run(context) {
    const file = argumentAt(context, 0);
    const found = await stat(file).catch(() => undefined);
    if (found === undefined || !found.isFile() || found.size > MAX_EVIDENCE_BYTES) {
      throw new IntercloudError("NOT_EVIDENCE", "bad-request", `${file} is not a file of evidence`);
    }
    const given = textOption(context, "federation");
    const federation = given === undefined ? await findFederation(context.home) : await readFederation(given);
    if (federation === undefined) {
      const message = "there is no federation file in this home; name one with --federation";
      throw new IntercloudError("NO_FEDERATION", "bad-request", message);
    }
    const [{ verifyEvidence }, { simdKernel }] = await Promise.all([
      import("../../protocols/custody/evidence.ts"),
      import("../../protocols/field/index.ts"),
    ]);
    const { agreementKeyOf, dealers, nameOf } = directoryOf(federation);
    const isDealer = (peer: string) => dealers.includes(peer);
    const court = { agreementKeyOf, isDealer, keystream: aesKeystream, kernel: simdKernel };
    const { accused, kind, tokenId } = verifyEvidence(await readFile(file), court);
    const id = Buffer.from(tokenId).toString("hex");
    if (context.json)
      await writeJson(context, { valid: true, accused: nameOf(accused), peer: accused, kind, tokenId: id });
    else await writeText(context.stdout, `${nameOf(accused)} ${DEEDS[kind]} (deposit ${id})\n`);
  },
};
