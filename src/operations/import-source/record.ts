import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { writeFileAtomic } from '../../targets/atomic-file.ts';
import type { PlannedLayer } from '../../formats/types.ts';
import type { ImportEntry } from './tree.ts';

interface KnownContent {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

const known = z.object({ digest: z.custom<Digest>(isDigest), size: z.int().nonnegative() });

/**
 * Remembers what content from afar became, by what its source says of it, so that importing a revision again, or what a broken run left
 * undone, fetches nothing that is there. A file each: what is found only says what to look for, the target verifies.
 */
export class ContentRecord {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** @param source all that the content follows from */
  static keyOf(kind: string, source: unknown): string {
    return createHash('sha256')
      .update(`2 ${kind} ${JSON.stringify(source)}`)
      .digest('hex');
  }

  /** Nothing is known under an undefined key. */
  async find(key: string | undefined): Promise<KnownContent | undefined> {
    if (key === undefined) return undefined;
    return await readRecord(this.#pathOf(key));
  }

  async add(key: string | undefined, { digest, size }: KnownContent): Promise<void> {
    // no home is made for it: what goes straight to a registry leaves nothing here
    if (key === undefined || (await stat(this.#home).catch(() => undefined)) === undefined) return;
    try {
      await mkdir(importRecords(this.#home), { recursive: true });
      await writeFileAtomic(this.#pathOf(key), JSON.stringify({ digest, size }));
    } catch {
      // the next run fetches the files again
    }
  }

  async drop(key: string | undefined): Promise<void> {
    if (key !== undefined) await rm(this.#pathOf(key), { force: true }).catch(() => undefined);
  }

  #pathOf(key: string): string {
    return join(importRecords(this.#home), key);
  }
}

/** Undefined where it is none. */
export async function readRecord(path: string): Promise<KnownContent | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    return known.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The folder of the records. */
export function importRecords(home: string): string {
  return join(home, 'cache', 'imports');
}

/** Undefined when a file has no name that tells its content. */
export function layerKey({ encoding, files }: PlannedLayer<ImportEntry>): string | undefined {
  if (files.some(({ type, file }) => type === 'file' && contentOf(file) === undefined)) return undefined;
  return ContentRecord.keyOf(
    encoding,
    files.map(({ path, type, mode, size, file }) => [path, type, mode, size, contentOf(file) ?? '']),
  );
}

function contentOf(file: ImportEntry['file']): string | undefined {
  return file?.digest ?? file?.blobId;
}
