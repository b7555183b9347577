// GF(2^8) with x^8+x^4+x^3+x+1 on 16 bytes at a time. Compiled by scripts/build-kernel.ts; AssemblyScript, not TypeScript.
//
// A product c*x is linear in x, so it is c*(low nibble) ^ c*(high nibble): two 16-entry tables per coefficient, looked up with
// one byte shuffle each. The shuffle is `relaxed_swizzle` because it compiles to the bare machine instruction; every index
// is masked to 0..15, and for those all machines agree. No address or branch depends on the bytes that are multiplied.

/** Bytes that the caller copies in and out at a time: source and target of one block fit a 48 KiB first-level cache. */
export const blockBytes: i32 = 16384;
/** Targets that one call of `addScaled` can serve. */
export const maxTargets: i32 = 8;

/** Where the caller writes one block of a source. */
export const source: usize = memory.data(blockBytes, 64);
/** Where the caller finds the blocks of the targets, one after another. */
export const targets: usize = memory.data(maxTargets * blockBytes, 64);
/** Where the caller writes the coefficients, one byte per target. */
export const coefficients: usize = memory.data(maxTargets, 16);

// Per coefficient 32 bytes: its products with 0x00..0x0f, then with 0x00, 0x10 .. 0xf0.
const tables: usize = memory.data(256 * 32, 64);

// Kept in memory and not written as a constant: V8 builds a constant anew, in two instructions, at every use.
const nibbleMask: usize = memory.data(16, 16);

function multiply(a: u32, b: u32): u32 {
  let product: u32 = 0;
  for (let bit = 0; bit < 8; bit++) {
    if (b & (1 << bit)) product ^= a << bit;
  }
  for (let bit = 14; bit >= 8; bit--) {
    if (product & (1 << bit)) product ^= 0x11b << (bit - 8);
  }
  return product;
}

for (let coefficient: u32 = 0; coefficient < 256; coefficient++) {
  for (let nibble: u32 = 0; nibble < 16; nibble++) {
    const table = tables + coefficient * 32 + nibble;
    store<u8>(table, multiply(coefficient, nibble));
    store<u8>(table, multiply(coefficient, nibble << 4), 16);
  }
}
memory.fill(nibbleMask, 0x0f, 16);

// @ts-ignore: decorator
@inline
function tableOf(index: i32): usize {
  return tables + (<usize>load<u8>(coefficients + index)) * 32;
}

// @ts-ignore: decorator
@inline
function addProduct(at: usize, tableLow: v128, tableHigh: v128, low: v128, high: v128): void {
  const product = v128.xor(i8x16.relaxed_swizzle(tableLow, low), i8x16.relaxed_swizzle(tableHigh, high));
  v128.store(at, v128.xor(v128.load(at), product));
}

// Splitting a source vector into nibbles is shared by up to four targets: eight tables still fit the registers.

function addToOne(first: i32, end: usize): void {
  const mask = v128.load(nibbleMask);
  const t0 = tableOf(first);
  const low0 = v128.load(t0), high0 = v128.load(t0, 16);
  let to = targets + first * blockBytes;
  for (let from = source; from < end; from += 16, to += 16) {
    const bytes = v128.load(from);
    const low = v128.and(bytes, mask), high = v128.and(i16x8.shr_u(bytes, 4), mask);
    addProduct(to, low0, high0, low, high);
  }
}

function addToTwo(first: i32, end: usize): void {
  const mask = v128.load(nibbleMask);
  const t0 = tableOf(first), t1 = tableOf(first + 1);
  const low0 = v128.load(t0), high0 = v128.load(t0, 16);
  const low1 = v128.load(t1), high1 = v128.load(t1, 16);
  let to = targets + first * blockBytes;
  for (let from = source; from < end; from += 16, to += 16) {
    const bytes = v128.load(from);
    const low = v128.and(bytes, mask), high = v128.and(i16x8.shr_u(bytes, 4), mask);
    addProduct(to, low0, high0, low, high);
    addProduct(to + blockBytes, low1, high1, low, high);
  }
}

function addToFour(first: i32, end: usize): void {
  const mask = v128.load(nibbleMask);
  const t0 = tableOf(first), t1 = tableOf(first + 1), t2 = tableOf(first + 2), t3 = tableOf(first + 3);
  const low0 = v128.load(t0), high0 = v128.load(t0, 16);
  const low1 = v128.load(t1), high1 = v128.load(t1, 16);
  const low2 = v128.load(t2), high2 = v128.load(t2, 16);
  const low3 = v128.load(t3), high3 = v128.load(t3, 16);
  let to = targets + first * blockBytes;
  for (let from = source; from < end; from += 16, to += 16) {
    const bytes = v128.load(from);
    const low = v128.and(bytes, mask), high = v128.and(i16x8.shr_u(bytes, 4), mask);
    addProduct(to, low0, high0, low, high);
    addProduct(to + blockBytes, low1, high1, low, high);
    addProduct(to + 2 * blockBytes, low2, high2, low, high);
    addProduct(to + 3 * blockBytes, low3, high3, low, high);
  }
}

/** targets[k] ^= coefficients[k] * source for k < targetCount, on `lengthBytes` rounded up to 16. */
export function addScaled(targetCount: i32, lengthBytes: i32): void {
  const end = source + lengthBytes;
  let first = 0;
  for (; first + 4 <= targetCount; first += 4) addToFour(first, end);
  for (; first + 2 <= targetCount; first += 2) addToTwo(first, end);
  for (; first < targetCount; first++) addToOne(first, end);
}

/** targets[0] ^= source, on `lengthBytes` rounded up to 16. */
export function add(lengthBytes: i32): void {
  const end = source + lengthBytes;
  let to = targets;
  for (let from = source; from < end; from += 16, to += 16) {
    v128.store(to, v128.xor(v128.load(to), v128.load(from)));
  }
}
