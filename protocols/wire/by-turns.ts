/** About a millisecond of work. */
const ITEMS_AT_ONCE = 32;

/** Runs `action` for 0 .. count-1; whoever else waits gets a turn now and then. */
export async function byTurns(count: number, action: (index: number) => void): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    if (index % ITEMS_AT_ONCE === ITEMS_AT_ONCE - 1) await new Promise<void>((resume) => setImmediate(resume));
    action(index);
  }
}
