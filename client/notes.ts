/**
 * What this home remembers about its deposits: the name of the file that each was made of. For people only; nothing depends
 * on it, and it never leaves this machine.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { writeFileAtomic } from "../runtime/atomic-file.ts";

const noteShape = v.strictObject({
  token: v.string(),
  /** As it was given to `put`, without its directories; null for a message that came through a pipe. */
  name: v.nullable(v.string()),
  time: v.string(),
});

export type Note = v.InferOutput<typeof noteShape>;

export interface Notes {
  write(note: Note): Promise<void>;
  /** Undefined when there is none, or none that can be read. */
  find(tokenText: string): Promise<Note | undefined>;
  /** Does nothing when there is none. */
  remove(tokenText: string): Promise<void>;
}

export function fileNotes(directory: string): Notes {
  const fileOf = (tokenText: string) => path.join(directory, `${tokenText}.json`);
  return {
    async write(note) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFileAtomic(fileOf(note.token), Buffer.from(`${JSON.stringify(note, null, 2)}\n`), 0o600);
    },
    async find(tokenText) {
      try {
        return v.parse(noteShape, JSON.parse(await readFile(fileOf(tokenText), "utf8")));
      } catch {
        return undefined;
      }
    },
    async remove(tokenText) {
      await rm(fileOf(tokenText), { force: true });
    },
  };
}
