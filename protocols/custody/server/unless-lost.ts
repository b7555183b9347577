import { IntercloudError, type Status } from "../../wire/errors.ts";

const LOST: ReadonlySet<Status> = new Set<Status>(["damaged", "not-found"]);

/** What `read` gives, or `otherwise` when what it reads is missing or damaged; other failures are failures. */
export async function unlessLost<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof IntercloudError && LOST.has(error.status)) return otherwise;
    throw error;
  }
}
