import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { layerFingerprint } from '../../blobs/fingerprint.ts';
import { haveSettled } from '../../blobs/settled.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { writeFileAtomic } from '../../targets/atomic-file.ts';
import type { LayerPlan } from './plan-layers.ts';

/** What a layer became when its files were read. */
export interface KnownLayer {
  readonly digest: Digest;
  /** Bytes, as it travels. */
  readonly size: number;
  /** Digest of the uncompressed content. */
  readonly diffId: Digest;
}

/** fingerprint, digest, size, diffId, and the beginning of the SHA-256 of these: a torn or rotten line is none. */
const LINE = /^(([a-f0-9]{64}) (sha256:[a-f0-9]{64}) (\d{1,15}) (sha256:[a-f0-9]{64})) ([a-f0-9]{16})$/;
const COMPACT_BEYOND_LINES = 1024;
const MAX_ENTRIES = 10_000;
/** Several times what MAX_ENTRIES take. */
const MAX_BYTES = 16 * 1024 * 1024;

export function layerCacheIn(home: string): LayerCache {
  return new LayerCache(join(home, 'cache', 'layers'));
}

/**
 * Remembers what planned layers became, so that packing unchanged files again costs a stat each. Kept in a text file that processes
 * append to without a lock: a line lost costs one more hash. What is found says what to look for in a target, no more: whoever
 * uses it lets the target verify what it has or gets.
 */
export class LayerCache {
  readonly #path: string;
  readonly #layers = new Map<string, KnownLayer>();
  readonly #fingerprints = new WeakMap<LayerPlan, string>();
  #loading: Promise<void> | undefined;
  #endsInLine = true;

  constructor(path: string) {
    this.#path = path;
  }

  async find(plan: LayerPlan): Promise<KnownLayer | undefined> {
    await this.#load();
    return this.#layers.get(this.#fingerprintOf(plan));
  }

  /** Remembers a layer whose files have just been read, unless their stamps could outlive their content (see haveSettled). */
  async add(plan: LayerPlan, { digest, size, diffId }: KnownLayer): Promise<void> {
    const files = plan.inputs.entries.filter(({ type }) => type === 'file');
    if (!(await haveSettled(files, plan.lookedAt))) return;
    await this.#load();
    const fingerprint = this.#fingerprintOf(plan);
    this.#layers.set(fingerprint, { digest, size, diffId });
    const line = lineOf(fingerprint, { digest, size, diffId });
    // only a cache: where it cannot be written to, packing works all the same
    try {
      // no home is made for it: what goes straight to a registry leaves nothing here
      await mkdir(dirname(this.#path)).catch(() => undefined);
      await appendFile(this.#path, this.#endsInLine ? line : `\n${line}`);
      this.#endsInLine = true;
    } catch {
      // the next run reads the files again
    }
  }

  /** Forgets what turned out to be wrong. */
  async drop(plan: LayerPlan): Promise<void> {
    await this.#load();
    this.#layers.delete(this.#fingerprintOf(plan));
    await this.#rewrite();
  }

  /** Forgets the layers that `keeps` denies; with `dryRun` it only counts them. Returns how many of how many. */
  async retain(keeps: (layer: Digest) => boolean, dryRun = false): Promise<{ readonly dropped: number; readonly total: number }> {
    await this.#load();
    const total = this.#layers.size;
    const gone = [...this.#layers].filter(([, { digest }]) => !keeps(digest)).map(([fingerprint]) => fingerprint);
    if (gone.length > 0 && !dryRun) {
      for (const fingerprint of gone) this.#layers.delete(fingerprint);
      await this.#rewrite();
    }
    return { dropped: gone.length, total };
  }

  #fingerprintOf(plan: LayerPlan): string {
    const fingerprint = this.#fingerprints.get(plan) ?? layerFingerprint(plan.inputs);
    this.#fingerprints.set(plan, fingerprint);
    return fingerprint;
  }

  async #load(): Promise<void> {
    this.#loading ??= this.#read();
    await this.#loading;
  }

  async #read(): Promise<void> {
    const stats = await stat(this.#path).catch(() => undefined);
    if (stats?.isFile() !== true) return;
    const isTooLarge = stats.size > MAX_BYTES;
    const text = isTooLarge ? '' : await readFile(this.#path, 'utf8').catch(() => '');
    const lines = text.split('\n');
    this.#endsInLine = lines.at(-1) === '';
    for (const line of lines) this.#take(line);
    const excess = [...this.#layers.keys()].slice(0, Math.max(0, this.#layers.size - MAX_ENTRIES));
    for (const fingerprint of excess) this.#layers.delete(fingerprint);
    const isMostlyOld = lines.length > COMPACT_BEYOND_LINES && lines.length > this.#layers.size * 2;
    if (isTooLarge || isMostlyOld || excess.length > 0) await this.#rewrite();
  }

  #take(line: string): void {
    const [, content = '', fingerprint = '', digest, size, diffId, check] = LINE.exec(line) ?? [];
    if (!isDigest(digest) || !isDigest(diffId) || checkOf(content) !== check) return;
    // the newest are last, and win
    this.#layers.delete(fingerprint);
    this.#layers.set(fingerprint, { digest, size: Number(size), diffId });
  }

  async #rewrite(): Promise<void> {
    const text = [...this.#layers].map(([fingerprint, known]) => lineOf(fingerprint, known)).join('');
    await writeFileAtomic(this.#path, text).then(
      () => (this.#endsInLine = true),
      () => undefined,
    );
  }
}

function lineOf(fingerprint: string, { digest, size, diffId }: KnownLayer): string {
  const content = `${fingerprint} ${digest} ${size} ${diffId}`;
  return `${content} ${checkOf(content)}\n`;
}

function checkOf(content: string): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
