import type { Bytes } from '../blobs/source.ts';
import { KitError } from '../errors.ts';

/** Passes on `size` bytes; a source that has fewer or more is an error that calls it `name`. @throws KitError SIZE_MISMATCH */
export async function* exactly(bytes: Bytes, size: number, name: string): AsyncGenerator<Uint8Array, void, undefined> {
  let sent = 0;
  for await (const chunk of bytes) {
    sent += chunk.byteLength;
    if (sent > size) break;
    yield chunk;
  }
  if (sent === size) return;
  const found = sent > size ? `more than ${size}` : String(sent);
  throw new KitError('SIZE_MISMATCH', `${name}: the source has ${found} bytes where ${size} were announced`, {
    hint: 'the content was changed or cut off; make it anew',
  });
}
