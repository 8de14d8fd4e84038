import type { BigIntStats } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import type { Digest } from '../oci/digest.ts';
import { writeFileAtomic } from './atomic-file.ts';

/** One line of the stamp file: digest dev ino size mtimeNs ctimeNs. */
const LINE = /^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}) (\d+ \d+ \d+ \d+ \d+)$/;
const COMPACT_BEYOND_LINES = 1024;

/**
 * Remembers which blob files were hashed and found right, by what `stat` said then: any later write changes the ctime.
 * Kept in a text file that processes append to without a lock. A line lost or torn costs one more hash, never a wrong answer.
 */
export class VerifiedBlobs {
  readonly #path: string | undefined;
  readonly #stamps = new Map<string, string>();
  #loading: Promise<void> | undefined;

  /** Without `path` the stamps last as long as this object. */
  constructor(path?: string) {
    this.#path = path;
  }

  async trusts(digest: Digest, stats: BigIntStats): Promise<boolean> {
    await this.#load();
    return this.#stamps.get(digest) === stampOf(stats);
  }

  async add(digest: Digest, stats: BigIntStats): Promise<void> {
    await this.#load();
    const stamp = stampOf(stats);
    if (this.#stamps.get(digest) === stamp) return;
    this.#stamps.set(digest, stamp);
    // only a cache: a store that cannot be written to is still read
    if (this.#path !== undefined) await appendFile(this.#path, `${digest} ${stamp}\n`).catch(() => undefined);
  }

  /** Drops what `keeps` denies from memory and rewrites the file. */
  async compact(keeps: (digest: string) => boolean = () => true): Promise<void> {
    await this.#load();
    for (const digest of this.#stamps.keys()) if (!keeps(digest)) this.#stamps.delete(digest);
    if (this.#path === undefined) return;
    const lines = [...this.#stamps].map(([digest, stamp]) => `${digest} ${stamp}\n`);
    await writeFileAtomic(this.#path, lines.join('')).catch(() => undefined);
  }

  async #load(): Promise<void> {
    this.#loading ??= this.#read();
    await this.#loading;
  }

  async #read(): Promise<void> {
    if (this.#path === undefined) return;
    const text = await readFile(this.#path, 'utf8').catch(() => '');
    const lines = text.split('\n');
    for (const line of lines) {
      const [, digest, stamp] = LINE.exec(line) ?? [];
      if (digest !== undefined && stamp !== undefined) this.#stamps.set(digest, stamp);
    }
    if (lines.length <= COMPACT_BEYOND_LINES || lines.length < this.#stamps.size * 2) return;
    await writeFileAtomic(this.#path, [...this.#stamps].map(([digest, stamp]) => `${digest} ${stamp}\n`).join('')).catch(() => undefined);
  }
}

function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}
