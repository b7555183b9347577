/** What a benchmark says while it runs; stdout is for the figures. */
export function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
