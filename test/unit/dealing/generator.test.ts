import { describe, expect, it } from "vitest";
import { createGenerator } from "../../../rng-dealer/generator.ts";
import { osSource } from "../../../rng-dealer/sources/os.ts";
import type { Source } from "../../../rng-dealer/sources/source.ts";

/** Gives 1, 2, 3, ... and remembers the buffers that it filled. */
function countingSource(name = "counter"): Source & { calls: number } {
  let next = 0;
  const source = {
    name,
    calls: 0,
    fill(target: Uint8Array) {
      source.calls++;
      for (let at = 0; at < target.length; at++) target[at] = ++next % 251;
    },
  };
  return source;
}

const failing = (name: string): Source => ({
  name,
  fill: () => {
    throw new Error("unplugged");
  },
});

describe("the generator", () => {
  it("hands out every byte of the pool once", () => {
    const source = countingSource();
    const generator = createGenerator([source]);
    const callsBefore = source.calls;
    const draws = Array.from({ length: 100 }, () => generator.draw(32));
    expect(source.calls - callsBefore).toBe(1);
    const all = Buffer.concat(draws);
    for (let at = 1; at < all.length; at++) expect(all[at]).toBe(((all[at - 1] as number) + 1) % 251);
  });

  it.each([0, 1, 255, 256, 257, 5000, 100_000])("draws exactly %i bytes", (lengthBytes) => {
    expect(createGenerator([osSource]).draw(lengthBytes).length).toBe(lengthBytes);
  });

  it("never gives the same bytes twice", () => {
    const generator = createGenerator([osSource]);
    const seen = new Set(Array.from({ length: 1000 }, () => Buffer.from(generator.draw(32)).toString("hex")));
    expect(seen.size).toBe(1000);
  });

  it("mixes its sources", () => {
    const mixed = createGenerator([countingSource(), countingSource("same")]);
    // Two equal sources cancel out: proof that both go in. (The probe looks at each alone.)
    expect(mixed.draw(16).every((byte) => byte === 0)).toBe(true);
    expect(mixed.healthySources()).toEqual(["counter", "same"]);
  });

  it.each<[what: string, source: Source]>([
    ["fails", failing("broken")],
    ["gives zeros", { name: "zeros", fill: (target) => void target.fill(0) }],
    ["repeats itself", { name: "stuck", fill: (target) => void target.fill(7) }],
  ])("leaves out a source that %s", (_, source) => {
    const generator = createGenerator([source, osSource]);
    expect(generator.healthySources()).toEqual(["os"]);
    expect(generator.draw(32).some((byte) => byte !== 0)).toBe(true);
    const alone = createGenerator([source]);
    expect(() => alone.draw(32)).toThrow(expect.objectContaining({ code: "NO_ENTROPY" }));
    expect(() => alone.draw(1000)).toThrow(expect.objectContaining({ code: "NO_ENTROPY" }));
  });

  it("drops a source that fails later, and refuses when it was the last", () => {
    const source = countingSource();
    const dropped: string[] = [];
    const generator = createGenerator([source], (name) => dropped.push(name));
    generator.draw(1000);
    source.fill = failing("").fill;
    expect(() => generator.draw(1000)).toThrow(expect.objectContaining({ code: "NO_ENTROPY" }));
    expect(() => generator.draw(32)).toThrow(expect.objectContaining({ code: "NO_ENTROPY" }));
    expect(generator.healthySources()).toEqual([]);
    expect(dropped).toEqual(["counter"]);
  });

  it("gives nothing any more after it was closed, also not what was left in the pool", () => {
    const generator = createGenerator([osSource]);
    generator.draw(32);
    generator.close();
    expect(() => generator.draw(32)).toThrow(expect.objectContaining({ code: "NO_ENTROPY" }));
  });
});
