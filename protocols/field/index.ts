/**
 * GF(2^8) with the polynomial x^8+x^4+x^3+x+1 (AES's field), byte by byte. Addition is XOR.
 * PLACEHOLDER CONTRACT: bodies arrive from the field room; see the interface below.
 */
/** Bulk arithmetic; `kernel` (WebAssembly SIMD) and `scalar` are twins that agree byte for byte. */
export interface FieldKernel {
  /** target ^= coefficient * source. Same lengths, any length. */
  addScaled(target: Uint8Array, source: Uint8Array, coefficient: number): void;
  /**
   * One output per row of `coefficients`: output_k = sum over j of coefficients[k][j] * sources[j].
   * All sources have one length; so have the returned, freshly allocated outputs.
   */
  combine(sources: readonly Uint8Array[], coefficients: readonly (readonly number[])[]): Uint8Array[];
}
