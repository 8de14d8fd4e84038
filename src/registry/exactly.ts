import type { Bytes } from '../blob-source.ts';
import { tapped } from '../tapped.ts';
import { KitError } from '../errors.ts';

/** Passes on `size` bytes; a source that has fewer or more is an error that calls it `name`. @throws KitError SIZE_MISMATCH */
export function exactly(bytes: Bytes, size: number, name: string): Bytes {
  let sent = 0;
  const mismatch = (found: string): KitError =>
    new KitError('SIZE_MISMATCH', `${name}: the source has ${found} bytes where ${size} were announced`, {
      hint: 'the content was changed or cut off; make it anew',
    });
  return tapped(bytes, {
    handing: (count) => {
      sent += count;
      if (sent > size) throw mismatch(`more than ${size}`);
    },
    ended: () => {
      if (sent < size) throw mismatch(String(sent));
    },
  });
}
