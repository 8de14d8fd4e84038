import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fchmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { asPathError } from './path-error.ts';
import { isWithin } from './safe-path.ts';
import type { Bytes } from './source.ts';

/** What to do when a file of the target is in the way. */
export type Conflict = 'fail' | 'overwrite' | 'keep';

const PREFIX = '.kit-unpack-';

/**
 * Files on their way into a directory. Everything is written into a hidden folder inside it and moved into place
 * by `commit`, so that no byte has its final name before all of them were verified. Paths given are clean (safePath).
 */
export class Staging {
  readonly target: string;
  readonly #directory: string;
  readonly #conflict: Conflict;
  /** What was staged so far, by path; the value of a file says which layer it came from. */
  readonly #files = new Map<string, string>();
  readonly #directories = new Map<string, number | undefined>([['', undefined]]);
  readonly #created: string[] = [];
  readonly #madeTarget: boolean;

  /** Creates the target where it is missing, and removes what a killed run left in it. @throws KitError */
  constructor(target: string, conflict: Conflict) {
    this.#conflict = conflict;
    try {
      this.#madeTarget = mkdirSync(target, { recursive: true }) !== undefined;
      this.target = realpathSync.native(target);
      sweep(this.target);
      this.#directory = join(this.target, `${PREFIX}${process.pid}-${randomBytes(4).toString('hex')}`);
      mkdirSync(this.#directory, 0o700);
    } catch (error) {
      const failure = asPathError(error, target);
      throw failure instanceof KitError && failure.code === 'PATH_EXISTS'
        ? new KitError('PATH_EXISTS', `${target} is not a directory`)
        : failure;
    }
  }

  /** False when a file of that name stays as it is (`keep`). @throws KitError PATH_EXISTS | UNSAFE_ENTRY | UNSAFE_PATH */
  wants(path: string, layer: string): boolean {
    const earlier = this.#files.get(path);
    if (earlier !== undefined) {
      const where = earlier === layer ? `twice in layer ${layer}` : `in the layers ${earlier} and ${layer}`;
      throw unsafe(`${path} is ${where}`);
    }
    if (this.#directories.has(path)) throw unsafe(`${path} is a directory and then a file in layer ${layer}`);
    const existing = this.#existing(path);
    if (existing === undefined) return true;
    if (existing.isDirectory())
      throw new KitError('PATH_EXISTS', `${join(this.target, path)} is a directory, where a file is to be written`);
    if (this.#conflict === 'keep') return false;
    if (this.#conflict === 'overwrite') return true;
    throw new KitError('PATH_EXISTS', `${join(this.target, path)} already exists`, {
      hint: 'use `--overwrite` to replace files, `--ignore-existing` to keep them, or `--dir` to unpack elsewhere',
    });
  }

  /** Stages a directory. `mode` undefined: it only holds what is below. */
  addDirectory(path: string, mode: number | undefined, layer: string): void {
    if (this.#directories.has(path)) {
      if (mode !== undefined) this.#directories.set(path, mode);
      return;
    }
    if (this.#files.has(path)) throw unsafe(`${path} is a file and then a directory in layer ${layer}`);
    const slash = path.lastIndexOf('/');
    this.addDirectory(slash === -1 ? '' : path.slice(0, slash), undefined, layer);
    const existing = this.#existing(path);
    if (existing !== undefined && !existing.isDirectory() && !existing.isSymbolicLink()) {
      throw new KitError('PATH_EXISTS', `${join(this.target, path)} is a file, where a directory is to be written`);
    }
    this.#attempt(path, (file) => mkdirSync(file, 0o700));
    this.#directories.set(path, mode);
  }

  /** Stages a file whose content is at hand. */
  addSmallFile(path: string, mode: number, content: Uint8Array, layer: string): void {
    this.#enter(path, layer);
    this.#attempt(path, (file) => {
      const fd = openSync(file, 'wx', 0o600);
      try {
        for (let written = 0; written < content.byteLength;) written += writeSync(fd, content, written);
        fchmodSync(fd, mode & 0o777);
      } finally {
        closeSync(fd);
      }
    });
  }

  /** Stages a file from a stream. `mode` loses setuid, setgid and sticky. */
  async addFile(path: string, mode: number, content: Bytes, layer: string): Promise<void> {
    this.#enter(path, layer);
    const file = join(this.#directory, path);
    let writing = true;
    try {
      const handle = await open(file, 'wx', 0o600);
      try {
        for await (const chunk of readingFrom(content, (reading) => (writing = !reading))) {
          for (let written = 0; written < chunk.byteLength;) written += (await handle.write(chunk, written)).bytesWritten;
        }
        await handle.chmod(mode & 0o777);
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw writing ? asPathError(error, join(this.target, path)) : error;
    }
  }

  #enter(path: string, layer: string): void {
    const slash = path.lastIndexOf('/');
    if (slash !== -1) this.addDirectory(path.slice(0, slash), undefined, layer);
    this.#files.set(path, layer);
  }

  #attempt(path: string, action: (file: string) => void): void {
    try {
      action(join(this.#directory, path));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // our own folder was empty: only a file system that folds names can have it already
      if (code === 'EEXIST') throw unsafe(`${path} and another entry have one name on this file system`);
      throw asPathError(error, join(this.target, path));
    }
  }

  #existing(path: string): Stats | undefined {
    const stats = lstatSync(join(this.target, path), { throwIfNoEntry: false });
    if (stats?.isSymbolicLink() === true) this.#checkLink(path);
    return stats;
  }

  // a link of the user's that leads out of the target must not be written through
  #checkLink(path: string): void {
    let real: string | undefined;
    try {
      real = realpathSync.native(join(this.target, path));
    } catch {
      return;
    }
    if (!isWithin(real, this.target) && lstatSync(real).isDirectory()) {
      throw new KitError('UNSAFE_PATH', `${join(this.target, path)} is a symbolic link out of the directory, to ${real}`, {
        hint: 'remove the link, or unpack into another directory with `--dir`',
      });
    }
  }

  /** Names that differ only in case: files of which one hides the other elsewhere. */
  caseCollisions(): [string, string][] {
    const seen = new Map<string, string>();
    const collisions: [string, string][] = [];
    for (const path of [...this.#directories.keys(), ...this.#files.keys()]) {
      const folded = path.toLowerCase();
      const other = seen.get(folded);
      if (other === undefined) seen.set(folded, path);
      else collisions.push([other, path]);
    }
    return collisions;
  }

  get fileCount(): number {
    return this.#files.size;
  }

  /** Moves everything into place. */
  commit(): void {
    this.#move('');
    for (const path of this.#created.toReversed()) {
      const mode = this.#directories.get(path) ?? 0o755;
      chmodSync(join(this.target, path), mode & 0o777);
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #move(parent: string): void {
    for (const name of readdirSync(join(this.#directory, parent))) {
      const path = parent === '' ? name : `${parent}/${name}`;
      const from = join(this.#directory, path);
      const to = join(this.target, path);
      try {
        if (this.#directories.has(path) && this.#existing(path) !== undefined) {
          this.#move(path);
          continue;
        }
        renameSync(from, to);
      } catch (error) {
        throw asPathError(error, to);
      }
      if (this.#directories.has(path)) this.#noteCreated(path);
    }
  }

  #noteCreated(path: string): void {
    this.#created.push(path);
    for (const name of this.#directories.keys()) if (name.startsWith(`${path}/`)) this.#created.push(name);
  }

  /** Removes what was not committed, and the target if it was made for nothing. */
  async discard(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    if (this.#madeTarget && readdirSync(this.target).length === 0) rmdirSync(this.target);
  }
}

function unsafe(what: string): KitError {
  return new KitError('UNSAFE_ENTRY', what, { hint: 'nothing was written; what would be unpacked depends on the reader' });
}

// tells whether a failure came from reading (a KitError of its own) or from writing
async function* readingFrom(bytes: Bytes, reading: (now: boolean) => void): AsyncGenerator<Uint8Array> {
  reading(true);
  for await (const chunk of bytes) {
    reading(false);
    yield chunk;
    reading(true);
  }
  reading(false);
}

function sweep(target: string): void {
  for (const name of readdirSync(target)) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (Number.isInteger(pid) && pid !== process.pid && !isRunning(pid)) rmSync(join(target, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
