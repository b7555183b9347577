/** Loaded before everything else in a process that runs a mutant: one source file is read as the mutant has it. The file itself stays as it is. */
import { registerHooks } from "node:module";
import { MUTANT_VARIABLE, mutantOf } from "./mutants.ts";

const CLONE = new URL("../../../../", import.meta.url);

const { name, patch } = mutantOf(process.env[MUTANT_VARIABLE] ?? "");
const target = new URL(patch.file, CLONE).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url !== target) return loaded;
    let source = Buffer.from(loaded.source as Uint8Array).toString("utf8");
    for (const { find, replace } of patch.edits) {
      if (source.split(find).length !== 2) {
        throw new Error(`the mutant "${name}" does not fit ${patch.file} any more: "${find}" is not in it once`);
      }
      source = source.replace(find, () => replace);
    }
    return { ...loaded, source };
  },
});
