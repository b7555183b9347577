/** Asks a peer's admin endpoint whether it is ready. */
import { get } from "node:http";
import * as v from "valibot";

const MAX_ANSWER_BYTES = 64 * 1024; // a list of coded causes; anything longer is no answer of ours
const ANSWER = v.object({ causes: v.optional(v.array(v.unknown())) });

export interface Readiness {
  readonly ready: boolean;
  /** Coded reasons for not being ready; `NO_ANSWER` when the admin endpoint itself does not answer. */
  readonly causes: readonly string[];
}

const NO_ANSWER: Readiness = { ready: false, causes: ["NO_ANSWER"] };

export function adminUrl(adminPort: number): string {
  return `http://127.0.0.1:${adminPort}`;
}

export function askReadiness(adminPort: number, timeoutMs: number): Promise<Readiness> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get(`${adminUrl(adminPort)}/readyz`, { agent: false, signal }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
        if (body.length > MAX_ANSWER_BYTES) request.destroy();
      });
      response.on("error", () => resolve(NO_ANSWER));
      response.on("close", () => resolve(NO_ANSWER)); // does nothing after "end"
      response.on("end", () => resolve({ ready: response.statusCode === 200, causes: causesIn(body) }));
    });
    request.on("error", () => resolve(NO_ANSWER));
  });
}

function causesIn(body: string): readonly string[] {
  try {
    const { causes = [] } = v.parse(ANSWER, JSON.parse(body));
    return causes.map(codeOf);
  } catch {
    return [];
  }
}

function codeOf(cause: unknown): string {
  if (typeof cause === "string") return cause;
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "UNKNOWN";
}
