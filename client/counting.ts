/** Passes a stream on and tells how many bytes of it have come. */
export async function* counting(
  source: AsyncIterable<Uint8Array>,
  report: (doneBytes: number) => void,
): AsyncIterable<Uint8Array> {
  let doneBytes = 0;
  for await (const chunk of source) {
    doneBytes += chunk.length;
    report(doneBytes);
    yield chunk;
  }
}
