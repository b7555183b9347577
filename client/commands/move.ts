import { MAX_PROVIDERS, MIN_THRESHOLD } from "../../protocols/rounds/constants.ts";
import {
  type Command,
  integerBetween,
  listOption,
  numberOption,
  textOption,
  usageError,
} from "../../runtime/command.ts";
import { CHANGE_OPTIONS, runChanges, TOKEN_OR_ALL } from "./changes.ts";
import { PASSPHRASE_OPTION } from "./shared.ts";

export const command: Command = {
  name: "move",
  summary: "take a deposit to other providers, or another n and t",
  arguments: [TOKEN_OR_ALL],
  options: [
    {
      name: "to",
      value: "NAME",
      repeatable: true,
      summary: "a provider to go to, the new home first (default: all of the federation)",
    },
    { name: "without", value: "NAME", repeatable: true, summary: "a provider to leave, or not to go to" },
    {
      name: "providers",
      value: "N",
      parse: integerBetween(MIN_THRESHOLD, MAX_PROVIDERS),
      summary: "how many providers share it afterwards",
    },
    {
      name: "threshold",
      value: "T",
      parse: integerBetween(MIN_THRESHOLD, MAX_PROVIDERS),
      summary: "how many of them are needed to read it afterwards",
    },
    {
      name: "copies",
      value: "K",
      parse: integerBetween(1, MAX_PROVIDERS),
      summary: "how many of them keep the ciphertext afterwards",
    },
    ...CHANGE_OPTIONS,
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const options = { signal: context.signal, dealer: textOption(context, "dealer") };
    const choice = {
      ...{ to: listOption(context, "to"), without: listOption(context, "without") },
      providers: numberOption(context, "providers"),
      threshold: numberOption(context, "threshold"),
      copies: numberOption(context, "copies"),
    };
    const numbers = [choice.providers, choice.threshold, choice.copies];
    if (choice.to.length + choice.without.length === 0 && numbers.every((each) => each === undefined)) {
      throw usageError("say where to: --to, --without, --providers, --threshold or --copies");
    }
    await runChanges(context, context.args[0], (client, token) => client.move(token, choice, options));
  },
};
