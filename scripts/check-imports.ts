/** `npm run check:imports`: prints what breaks the house rules, one line each, and fails if anything does. */
import { globSync, readFileSync } from "node:fs";
import { violationsIn } from "./house/rules.ts";

const ROOMS = ["protocols", "runtime", "node", "rng-dealer", "client", "testnet", "bin", "scripts", "test"];
const ASSEMBLYSCRIPT = "protocols/field/kernel/"; // another language with the same file ending

const paths = ROOMS.flatMap((room) => globSync(`${room}/**/*.ts`)).filter((file) => !file.startsWith(ASSEMBLYSCRIPT));
const violations = violationsIn(new Map(paths.sort().map((file) => [file, readFileSync(file, "utf8")])));
for (const { file, line, why } of violations) process.stderr.write(`${file}:${line}: ${why}\n`);
if (violations.length > 0) process.exitCode = 1;
else process.stdout.write(`${paths.length} files keep the house rules\n`);
