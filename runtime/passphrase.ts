/** Where a passphrase comes from. Never from the command line: other users of the machine can read that. */
import { readFile } from "node:fs/promises";
import { IntercloudError } from "../protocols/wire/errors.ts";

export interface PassphraseSources {
  /** `--passphrase-file`: comes first. */
  readonly file?: string | undefined;
  /** `INTERCLOUD_PASSPHRASE_FILE`, then `INTERCLOUD_PASSPHRASE`. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * The passphrase, without the line end that an editor leaves behind it; undefined when no source is given.
 * @throws IntercloudError PASSPHRASE_FILE_MISSING, PASSPHRASE_EMPTY.
 */
export async function passphraseFrom({ file, env = process.env }: PassphraseSources): Promise<string | undefined> {
  const path = file ?? env["INTERCLOUD_PASSPHRASE_FILE"];
  const passphrase = path === undefined ? env["INTERCLOUD_PASSPHRASE"] : (await readText(path)).replace(/\r?\n$/, "");
  if (passphrase === "") {
    const where = path === undefined ? "INTERCLOUD_PASSPHRASE" : path;
    throw new IntercloudError(
      "PASSPHRASE_EMPTY",
      "bad-request",
      `the passphrase in ${where} is empty; write one or leave it out`,
    );
  }
  return passphrase;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const message = `the passphrase file ${path} cannot be read; check the path and its permissions`;
    throw new IntercloudError("PASSPHRASE_FILE_MISSING", "bad-request", message, { path }, cause);
  }
}
