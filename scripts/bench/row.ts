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
  /** What the ratio, or the value, must be: ">= 5x". Null for a figure that is only reported. */
  readonly target: string | null;
  readonly met: boolean | null;
}
