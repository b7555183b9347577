/** The operating system's random bytes: the entropy of every real process. */
import { randomBytes } from "node:crypto";
import type { Entropy } from "../protocols/crypto/entropy.ts";

export const systemEntropy: Entropy = (lengthBytes) => new Uint8Array(randomBytes(lengthBytes));
