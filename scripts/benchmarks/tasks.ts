/** What a benchmark asks of the process that plays the user, and how it answers. */
import type { Route } from "../../protocols/rounds/descriptor.ts";

export interface Task {
  readonly action: "put" | "get" | "forward-put" | "forward-get";
  readonly route: Route;
  readonly lengthBytes: number;
  /** For `put`. */
  readonly file?: string;
  /** For `get`. */
  readonly token?: string;
}

export type TaskResult =
  | { readonly seconds: number /** Of `put`. */; readonly token?: string }
  | { readonly failure: string };
