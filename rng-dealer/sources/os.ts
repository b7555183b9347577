/** The operating system's generator (getrandom), which mixes every source that the kernel has. */
import { randomFillSync } from "node:crypto";
import type { Source } from "./source.ts";

export const osSource: Source = { name: "os", fill: (target) => void randomFillSync(target) };
