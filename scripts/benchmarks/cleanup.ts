/** What has to be ended and removed however a benchmark ends, in reverse order. */
type CleanUp = () => Promise<void>;

const pending: CleanUp[] = [];

export function atEnd(cleanUp: CleanUp): void {
  pending.push(cleanUp);
}

export async function stopWhatRuns(): Promise<void> {
  for (let cleanUp = pending.pop(); cleanUp !== undefined; cleanUp = pending.pop()) {
    await cleanUp().catch((error) => process.stderr.write(`bench: could not clean up: ${String(error)}\n`));
  }
}
