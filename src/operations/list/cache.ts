import { statSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isKitError } from '../../errors.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { writeFileAtomic } from '../../targets/atomic-file.ts';
import { type ListSummary, summary } from './entry.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';

/** What a list says of a manifest in the store, and the files that say so. */
interface Row {
  readonly config: Digest;
  /** Of the file of the manifest, and of the config. */
  readonly stamps: readonly [string, string];
  /** Signatures and images are looked at, but not listed. */
  readonly isModel: boolean;
  readonly summary: ListSummary;
}

/**
 * What `list` found the last time, by digest of the manifest: a row counts while the files of manifest and config are those that it was
 * read from, which a look at each tells. Only a cache: without it everything is read.
 */
export class ListCache {
  readonly #path: string;
  readonly #pathOf: (digest: Digest) => string;
  readonly #rows: Map<string, Row>;
  readonly #used = new Map<string, Row>();
  #isChanged = false;

  private constructor(path: string, pathOf: (digest: Digest) => string, rows: Map<string, Row>) {
    this.#path = path;
    this.#pathOf = pathOf;
    this.#rows = rows;
  }

  /** @param pathOf where a blob lies */
  static async open(path: string, pathOf: (digest: Digest) => string): Promise<ListCache> {
    const text = await readFile(path, 'utf8').catch(() => '{}');
    return new ListCache(path, pathOf, parseRows(text));
  }

  /** Undefined when the artifact has to be read. */
  find(manifest: Digest): Pick<Row, 'isModel' | 'summary'> | undefined {
    const row = this.#used.get(manifest) ?? this.#rows.get(manifest);
    if (row === undefined || row.stamps[0] !== this.#stamp(manifest) || row.stamps[1] !== this.#stamp(row.config)) return undefined;
    this.#used.set(manifest, row);
    return row;
  }

  /** Remembers an artifact that was just read and verified, and gives it back. */
  add(artifact: LoadedArtifact): LoadedArtifact {
    const { digest } = artifact.descriptor;
    const config = artifact.manifest.config.digest;
    const stamps = [this.#stamp(digest), this.#stamp(config)] as const;
    this.#used.set(digest, { config, stamps, isModel: artifact.kitfile !== undefined, summary: summary(artifact) });
    this.#isChanged = true;
    return artifact;
  }

  /** Keeps the rows that were found or added, for the next time. */
  async save(): Promise<void> {
    if (!this.#isChanged && this.#used.size === this.#rows.size) return;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      await writeFileAtomic(this.#path, JSON.stringify(Object.fromEntries(this.#used)));
    } catch (error) {
      // a home that cannot be written to can be listed all the same
      if (!isKitError(error) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }

  #stamp(digest: Digest): string {
    try {
      const { ino, size, ctimeMs } = statSync(this.#pathOf(digest));
      return `${ino}-${size}-${ctimeMs}`;
    } catch {
      return '';
    }
  }
}

function parseRows(text: string): Map<string, Row> {
  try {
    const rows = Object.entries(JSON.parse(text) as Record<string, Row>);
    return new Map(rows.filter(([, row]) => isRow(row)));
  } catch {
    return new Map();
  }
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

/** Written by another version, or by hand: then it does not count. A file that is not there has the stamp ''. */
function isRow({ config, stamps, isModel, summary: shown }: Row): boolean {
  return (
    isDigest(config) &&
    stamps.every((stamp) => typeof stamp === 'string' && stamp !== '') &&
    typeof isModel === 'boolean' &&
    typeof shown.size === 'number' &&
    typeof shown.format === 'string' &&
    isText(shown.name) &&
    isText(shown.author)
  );
}
