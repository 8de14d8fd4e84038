import { randomBytes } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { withPath } from './io-error.ts';
import { createLockFile, isAbandoned, readLockFile } from './lock-file.ts';
import { sweepTemporary } from './temporary-name.ts';

/**
 * A process that adds blobs to a store holds a lease until the manifest that reaches them is listed: until then they look like
 * garbage, also those that it found there and therefore does not send again. Garbage is collected only while nobody holds one.
 * Leases are granted and garbage is judged under the store's lock, so a lease is seen, or comes after the collection and finds
 * the blobs gone before it looks for them. The lease of a killed process counts for nothing and is swept.
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
    return async () => {
      await unlink(path).catch(() => undefined);
    };
  }

  /** True while a living process holds a lease; those of dead ones are deleted. Under the store's lock. */
  async inUse(): Promise<boolean> {
    await sweepTemporary(this.#directory);
    const names = await readdir(this.#directory).catch((): string[] => []);
    let found = false;
    for (const name of names.filter((name) => !name.endsWith('.tmp'))) {
      const path = join(this.#directory, name);
      const holder = await readLockFile(path);
      if (holder === undefined) continue;
      if (isAbandoned(holder)) await unlink(path).catch(() => undefined);
      else found = true;
    }
    return found;
  }
}
