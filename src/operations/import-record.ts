import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Digest, isDigest } from '../oci/digest.ts';
import { writeFileAtomic } from '../targets/atomic-file.ts';
import type { ImportLayer } from './import-layer.ts';

interface KnownLayer {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

const known = z.object({ digest: z.custom<Digest>(isDigest), size: z.int().nonnegative() });

/**
 * Remembers what layers from afar became, by what their source says of their files, so that importing a revision again, or what a
 * broken run left undone, fetches nothing that is there. A file each: what is found only says what to look for, the target verifies.
 */
export class ImportRecord {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  async find(layer: ImportLayer): Promise<KnownLayer | undefined> {
    const path = this.#pathOf(layer);
    if (path === undefined) return undefined;
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return known.parse(JSON.parse(text));
    } catch {
      return undefined;
    }
  }

  async add(layer: ImportLayer, { digest, size }: KnownLayer): Promise<void> {
    const path = this.#pathOf(layer);
    // no home is made for it: what goes straight to a registry leaves nothing here
    if (path === undefined || (await stat(this.#home).catch(() => undefined)) === undefined) return;
    try {
      await mkdir(this.#directory, { recursive: true });
      await writeFileAtomic(path, JSON.stringify({ digest, size }));
    } catch {
      // the next run fetches the files again
    }
  }

  async drop(layer: ImportLayer): Promise<void> {
    const path = this.#pathOf(layer);
    if (path !== undefined) await rm(path, { force: true }).catch(() => undefined);
  }

  get #directory(): string {
    return join(this.#home, 'cache', 'imports');
  }

  /** Undefined when a file has no name that tells its content. */
  #pathOf({ encoding, files }: ImportLayer): string | undefined {
    const hash = createHash('sha256').update(`1 ${encoding}\n`);
    for (const { path, type, mode, size, file } of files) {
      const content = file?.digest ?? file?.blobId;
      if (type === 'file' && content === undefined) return undefined;
      hash.update(`${JSON.stringify([path, type, mode, size, content ?? ''])}\n`);
    }
    return join(this.#directory, hash.digest('hex'));
  }
}
