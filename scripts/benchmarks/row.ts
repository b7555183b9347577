/** One measured figure, as `scripts/bench --json` prints it. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** Ours; null when it could not be measured (the reason is on stderr). */
  readonly value: number | null;
  /** What it is held against, in the same unit and measured in the same run; null when there is nothing. */
  readonly against: number | null;
  /** How many times better than `against`. */
  readonly ratio: number | null;
  /** What the ratio, or the value where there is no ratio, must be: ">= 5x", "<= 64 MiB". Null for what is only reported. */
  readonly target: string | null;
  readonly met: boolean | null;
}

/** A rate held against another one. @param atLeast what the ratio must be; null for a figure that is only reported. */
export function ratioRow(name: string, unit: string, value: number, against: number, atLeast: number | null): Row {
  const ratio = value / against;
  const [target, met] = atLeast === null ? [null, null] : [`>= ${atLeast}`, ratio >= atLeast];
  return { name, unit, value, against, ratio, target, met };
}

/** A time held against another one. @param atLeast how many times faster it must be; null for a figure that is only reported. */
export function timeRow(name: string, unit: string, value: number, against: number, atLeast: number | null): Row {
  const ratio = against / value;
  const [target, met] = atLeast === null ? [null, null] : [`>= ${atLeast}`, ratio >= atLeast];
  return { name, unit, value, against, ratio, target, met };
}

/** A figure that must not be larger than `atMost`. */
export function limitRow(name: string, unit: string, value: number, atMost: number | null): Row {
  const [target, met] = atMost === null ? [null, null] : [`<= ${atMost} ${unit}`, value <= atMost];
  return { name, unit, value, against: null, ratio: null, target, met };
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** @param share 0.99 for the 99th percentile */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
