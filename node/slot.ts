/** A place that a step of the start fills and later steps read. */
export interface Slot<T> {
  /** Undefined as long as the step has not run. */
  readonly found: T | undefined;
  /** @throws TypeError when the steps are out of order. */
  get(): T;
  set(value: T): T;
}

export function createSlot<T>(step: string): Slot<T> {
  let found: T | undefined;
  return {
    get found() {
      return found;
    },
    get() {
      if (found === undefined) throw new TypeError(`the step "${step}" has not run yet`);
      return found;
    },
    set(value) {
      found = value;
      return value;
    },
  };
}
