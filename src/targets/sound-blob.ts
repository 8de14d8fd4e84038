import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestOf } from '../oci/digest.ts';

// one call reads all of an ordinary manifest or config; synchronous, so that all calls can share it
const scratch = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * The content of a small manifest or config in the file `path`, with digest and size checked; undefined when it is large or there
 * is anything wrong with it, which the ordinary way then reports. Synchronous: for a thousand files that is five times as fast.
 */
export function readSoundBlob(path: string, blob: Descriptor): Buffer | undefined {
  if (blob.size >= scratch.byteLength) return undefined;
  let file: number | undefined;
  try {
    // a pipe in the place of a blob must not be waited for
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    // one byte more would show a file that is longer
    const length = readSync(file, scratch, 0, blob.size + 1, null);
    if (length !== blob.size) return undefined;
    const bytes = scratch.subarray(0, length);
    return digestOf(bytes, digestAlgorithm(blob.digest)) === blob.digest ? Buffer.from(bytes) : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
