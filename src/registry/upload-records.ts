import { mkdir, readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestHex, digestOf } from '../oci/digest.ts';

/** As long as registries keep what was left unfinished (distribution: 168 hours). */
const MAX_AGE_MS = 7 * 24 * 3_600_000;
const MAX_RECORD_BYTES = 64 * 1024;

/** What is uploaded where. */
export interface UploadKey {
  readonly registry: string;
  /** Path of the repository, as the registry knows it. */
  readonly path: string;
  readonly digest: Digest;
}

/** Records that this process works with: it may hold several clients. */
const held = new Set<string>();

/**
 * The upload sessions under way, one small file each below `<home>/uploads`: a later run goes on where this one ends, however it
 * ends. A Location can be a secret: only the user reads the files. Losing one costs bytes, never content, so no error leaves here.
 */
export class UploadRecords {
  readonly #directory: string | undefined;
  #isSwept = false;

  /** Without a `home` nothing is kept. */
  constructor(home: string | undefined) {
    this.#directory = home === undefined ? undefined : join(home, 'uploads');
  }

  /** True when there is a place for records. */
  get isKept(): boolean {
    return this.#directory !== undefined;
  }

  /** The Location that an earlier run left, which is this caller's from now on. Not while its process lives. */
  async take(key: UploadKey): Promise<string | undefined> {
    const path = this.#path(key);
    if (path === undefined) return undefined;
    try {
      const { size, mtimeMs } = await stat(path);
      if (size > MAX_RECORD_BYTES || Date.now() - mtimeMs > MAX_AGE_MS) return undefined;
      const { location, pid } = JSON.parse(await readFile(path, 'utf8')) as Readonly<Record<string, unknown>>;
      if (typeof location !== 'string' || typeof pid !== 'number' || isInUse(path, pid)) return undefined;
      // of two that want it one can take it away
      await unlink(path);
      return location;
    } catch {
      return undefined;
    }
  }

  /** Notes where the session goes on. */
  async keep(key: UploadKey, location: URL): Promise<void> {
    const path = this.#path(key);
    if (path === undefined) return;
    held.add(path);
    const temporary = `${path}.${process.pid}.tmp`;
    try {
      await this.#prepare();
      await writeFile(temporary, JSON.stringify({ location: location.href, pid: process.pid }), { mode: 0o600 });
      await rename(temporary, path);
    } catch {
      await unlink(temporary).catch(() => undefined);
    }
  }

  /** The session is over, for this run or (unless `isKept`) for good. */
  async release(key: UploadKey, isKept: boolean): Promise<void> {
    const path = this.#path(key);
    if (path === undefined || !held.delete(path) || isKept) return;
    await unlink(path).catch(() => undefined);
  }

  #path({ registry, path, digest }: UploadKey): string | undefined {
    if (this.#directory === undefined) return undefined;
    return join(this.#directory, `${digestHex(digestOf(Buffer.from(`${registry}\n${path}\n${digest}`)))}.json`);
  }

  async #prepare(): Promise<void> {
    const directory = this.#directory;
    if (directory === undefined || this.#isSwept) return;
    this.#isSwept = true;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const { mtimeMs } = await stat(path);
      if (Date.now() - mtimeMs > MAX_AGE_MS) await unlink(path);
    }
  }
}

function isInUse(path: string, pid: number): boolean {
  // a container's next run has the process id of the one before
  if (pid === process.pid) return held.has(path);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
