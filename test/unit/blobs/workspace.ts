import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Bytes } from '../../../src/blob-source.ts';

export const GOLDEN = join(import.meta.dirname, '../../../fixtures/golden');

/** A directory that goes when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ocikit-blobs-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The golden input as its README says: git keeps neither the empty directory nor all modes. */
export function goldenContext(): string {
  const directory = join(temporaryDirectory(), 'context');
  cpSync(join(GOLDEN, 'input'), directory, { recursive: true });
  mkdirSync(join(directory, 'src/empty'));
  for (const path of paths(directory)) {
    const full = join(directory, path);
    const isExecutable = statSync(full).isDirectory() || path === 'src/run.sh';
    chmodSync(full, isExecutable ? 0o755 : 0o644);
  }
  return directory;
}

/** Everything below a directory, sorted. */
export function paths(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted();
}

/** Files below `directory` that this process holds open. */
export function openFiles(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      return [];
    }
  });
}

export async function collect(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A source that notes how much of it was asked for and whether it was ended. */
export class Chunks {
  asked = 0;
  ended = false;
  readonly #bytes: Uint8Array;
  readonly #size: number;
  readonly #atEnd: Error | undefined;

  /** `atEnd` is thrown when all bytes were handed out. */
  constructor(bytes: Uint8Array, size: number, atEnd?: Error) {
    this.#bytes = bytes;
    this.#size = size;
    this.#atEnd = atEnd;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < this.#bytes.byteLength; at += this.#size) {
        this.asked += 1;
        yield await Promise.resolve(this.#bytes.subarray(at, at + this.#size));
      }
      if (this.#atEnd) throw this.#atEnd;
    } finally {
      this.ended = true;
    }
  }
}
