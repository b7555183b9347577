/** One physical or system source of randomness. The generator mixes what its sources give. */
export interface Source {
  /** For metrics and alarms. */
  readonly name: string;
  /** Fills all of `target`. @throws when the source fails; the generator then does without it. */
  fill(target: Uint8Array): void;
}
