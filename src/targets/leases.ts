import { randomBytes } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { withPath } from './io-error.ts';
import { createLockFile, isAbandoned, keepFresh, type LockHolder, readLockFile } from './lock-file.ts';

/**
 * A process that adds blobs to a store holds a lease until the manifest that reaches them is listed: until then they look like
 * garbage, also those that it found there and therefore does not send again. Garbage is collected only while nobody holds one.
 * Leases are granted and garbage is judged under the store's lock, so a lease is seen, or comes after the collection and finds
 * the blobs gone before it looks for them. The lease of a killed process counts for nothing, and is a leftover.
 */
export class Leases {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Under the store's lock. Returns what ends the lease, which needs no lock. */
  async grant(): Promise<() => Promise<void>> {
    await withPath(this.#directory, async () => await mkdir(this.#directory, { recursive: true }));
    const path = join(this.#directory, `${process.pid}-${randomBytes(8).toString('hex')}`);
    await withPath(path, async () => await createLockFile(path));
    const stop = keepFresh(path);
    return async () => {
      stop();
      await unlink(path).catch(() => undefined);
    };
  }

  /** The living processes that hold a lease. To rely on it when there is none: under the store's lock. */
  async holders(): Promise<LockHolder[]> {
    const names = await readdir(this.#directory).catch((): string[] => []);
    const found: LockHolder[] = [];
    for (const name of names.filter((name) => !name.endsWith('.tmp'))) {
      const holder = await readLockFile(join(this.#directory, name));
      if (holder !== undefined && !isAbandoned(holder)) found.push(holder);
    }
    return found;
  }
}
