import {
  chmodSync,
  closeSync,
  fchmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { stampOf } from './file-stamp.ts';
import { writeNewFile } from './file-writer.ts';
import { Journal } from './journal.ts';
import { asPathError } from './path-error.ts';
import { reflink } from './reflink.ts';
import { isWithin } from './safe-path.ts';
import { segmentSource } from './segments.ts';
import type { Bytes } from '../blob-source.ts';
import { STAGING_PREFIX, StagingFolder } from './staging-folder.ts';

/** What to do when a file of the target is in the way. */
export type Conflict = 'fail' | 'overwrite' | 'keep';

/** Mode of a directory that no layer describes. */
const DIRECTORY_MODE = 0o755;

/**
 * Files on their way into a directory. Everything is written into a hidden folder inside it and moved into place
 * by `commit`, so that no byte has its final name before all of them were verified. Paths given are clean (safePath).
 */
export class Staging {
  readonly #folder: StagingFolder;
  readonly #conflict: Conflict;
  /** What was staged so far, by path, parents first. A file's value is its layer, a directory's its mode where a layer gives one. */
  readonly #files = new Map<string, string>();
  readonly #directories = new Map<string, number | undefined>([['', undefined]]);
  /** Directories that the target does not have: nothing in them can be in the way. */
  readonly #absent = new Set<string>();

  /** Creates the target where it is missing, and removes what a killed run left in it. @throws KitError */
  constructor(target: string, conflict: Conflict) {
    this.#conflict = conflict;
    this.#folder = new StagingFolder(target);
    if (this.#folder.isNew) this.#absent.add('');
  }

  /** Real path of the directory. */
  get target(): string {
    return this.#folder.target;
  }

  get fileCount(): number {
    return this.#files.size;
  }

  /** False when a file of that name stays as it is (`keep`). @throws KitError PATH_EXISTS | UNSAFE_ENTRY | UNSAFE_PATH */
  wants(path: string, layer: string): boolean {
    this.#refuseDuplicate(path, layer);
    this.addDirectory(parentOf(path), undefined, layer);
    const existing = this.#existing(path);
    return existing === undefined || this.#mayReplace(path, existing);
  }

  /** Stages a directory. `mode` undefined: it only holds what is below. @throws KitError UNSAFE_ENTRY | UNSAFE_PATH | PATH_EXISTS */
  addDirectory(path: string, mode: number | undefined, layer: string): void {
    const missing: string[] = [];
    for (let part = path; !this.#directories.has(part); part = parentOf(part)) missing.push(part);
    for (const part of missing.toReversed()) this.#stageDirectory(part, layer);
    if (mode !== undefined) this.#directories.set(path, mode & 0o777);
  }

  #stageDirectory(path: string, layer: string): void {
    if (this.#files.has(path)) throw unsafe(`${path} is a file and then a directory in layer ${layer}`);
    refuseStagingName(path, layer);
    if (this.#existing(path) === undefined) this.#absent.add(path);
    else this.#refuseNonDirectory(path);
    this.#attempt(path, (file) => mkdirSync(file, 0o700));
    this.#directories.set(path, undefined);
  }

  /** Stages a file whose content is at hand. `mode` loses setuid, setgid and sticky. @throws KitError */
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

  /** Stages a file from a stream, whose errors come through as they are. `mode` loses setuid, setgid and sticky. @throws KitError */
  async addFile(path: string, mode: number, content: Bytes, layer: string): Promise<void> {
    this.#enter(path, layer);
    await writeNewFile(this.#staged(path), join(this.target, path), mode & 0o777, content);
  }

  /**
   * Stages what `place` makes at the path that it is given: a link to a file that is elsewhere, which nothing is written through from
   * then on. False when it made nothing. @throws KitError
   */
  async addPlaced(path: string, layer: string, place: (file: string) => Promise<boolean>): Promise<boolean> {
    this.#enter(path, layer);
    let isPlaced: boolean;
    try {
      isPlaced = await place(this.#staged(path));
    } catch (error) {
      throw this.#failure(error, path);
    }
    if (!isPlaced) this.#files.delete(path);
    return isPlaced;
  }

  /** Stages a file that shares its blocks with `from`; false where the file system has no such files. @throws KitError */
  async addClone(path: string, mode: number, from: string, layer: string): Promise<boolean> {
    return await this.addPlaced(path, layer, async (file) => {
      if (!(await reflink(from, file))) return false;
      await chmod(file, mode & 0o777);
      return true;
    });
  }

  /** The bytes of a file that was staged. @throws KitError */
  read(path: string): Bytes {
    const file = this.#staged(path);
    const stamp = stampOf(statSync(file, { bigint: true }));
    return segmentSource([{ type: 'file', path: file, offset: 0, length: stamp.size, stamp }]).open();
  }

  #staged(path: string): string {
    return join(this.#folder.incoming, path);
  }

  #enter(path: string, layer: string): void {
    this.#refuseDuplicate(path, layer);
    this.addDirectory(parentOf(path), undefined, layer);
    this.#files.set(path, layer);
  }

  #refuseDuplicate(path: string, layer: string): void {
    refuseStagingName(path, layer);
    const earlier = this.#files.get(path);
    if (earlier !== undefined)
      throw unsafe(`${path} is ${earlier === layer ? `twice in layer ${layer}` : `in the layers ${earlier} and ${layer}`}`);
    if (this.#directories.has(path)) throw unsafe(`${path} is a directory and then a file in layer ${layer}`);
  }

  #attempt(path: string, action: (file: string) => void): void {
    try {
      action(this.#staged(path));
    } catch (error) {
      throw this.#failure(error, path);
    }
  }

  #failure(error: unknown, path: string): Error {
    // our own folder was empty: only a file system that folds names can have it already
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return unsafe(`${path} and another entry have one name on this file system`);
    return asPathError(error, join(this.target, path));
  }

  #existing(path: string): Stats | undefined {
    if (this.#absent.has(parentOf(path))) return undefined;
    try {
      return lstatSync(join(this.target, path), { throwIfNoEntry: false });
    } catch (error) {
      throw asPathError(error, join(this.target, path));
    }
  }

  // a link of the user's may stand for a directory of the target, but nothing is written through one that leads out
  #refuseNonDirectory(path: string): void {
    const where = join(this.target, path);
    let real: string | undefined;
    try {
      real = realpathSync.native(where);
    } catch {
      // a link to nothing, or a loop
    }
    if (real === undefined || !statSync(real).isDirectory()) {
      throw new KitError('PATH_EXISTS', `${where} is not a directory, where one is to be written`, {
        hint: 'remove it, or unpack into another directory with `--dir`',
      });
    }
    if (isWithin(real, this.target)) return;
    throw new KitError('UNSAFE_PATH', `${where} is a symbolic link out of the directory, to ${real}`, {
      hint: 'remove the link, or unpack into another directory with `--dir`',
    });
  }

  #mayReplace(path: string, existing: Stats): boolean {
    const where = join(this.target, path);
    if (existing.isDirectory()) {
      throw new KitError('PATH_EXISTS', `${where} is a directory, where a file is to be written`, {
        hint: 'remove it, or unpack into another directory with `--dir`',
      });
    }
    if (this.#conflict !== 'fail') return this.#conflict === 'overwrite';
    throw new KitError('PATH_EXISTS', `${where} already exists`, {
      hint: 'use `--overwrite` to replace files, `--ignore-existing` to keep them, or `--dir` to unpack elsewhere',
    });
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

  /** Moves everything into place; takes all back when something is in the way by now. @throws KitError PATH_EXISTS | DISK_FULL | IO_FAILED ... */
  commit(): void {
    const journal = new Journal(this.#folder.replaced);
    try {
      this.#place('', journal);
      // children first: a directory may lose the right to be entered
      for (const path of [...this.#directories.keys()].toReversed()) {
        if (path !== '' && this.#absent.has(path)) this.#setMode(path);
      }
    } catch (error) {
      journal.undo();
      throw error;
    }
  }

  #place(parent: string, journal: Journal): void {
    for (const name of readdirSync(join(this.#folder.incoming, parent))) {
      const path = parent === '' ? name : `${parent}/${name}`;
      const from = join(this.#folder.incoming, path);
      const to = join(this.target, path);
      try {
        const existing = lstatSync(to, { throwIfNoEntry: false });
        if (existing === undefined) journal.move(from, to);
        else if (this.#directories.has(path)) {
          this.#refuseNonDirectory(path);
          this.#absent.delete(path);
          this.#place(path, journal);
        } else if (this.#mayReplace(path, existing)) journal.replace(from, to);
      } catch (error) {
        throw asPathError(error, to);
      }
    }
  }

  #setMode(path: string): void {
    const directory = join(this.target, path);
    try {
      chmodSync(directory, this.#directories.get(path) ?? DIRECTORY_MODE);
    } catch (error) {
      throw asPathError(error, directory);
    }
  }

  /** Removes what was not committed, and the target if it was made for nothing. To be called in every case. */
  async discard(): Promise<void> {
    await this.#folder.remove();
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

// the next run would take it for the rest of a killed one and remove it
function refuseStagingName(path: string, layer: string): void {
  if (!path.startsWith(STAGING_PREFIX)) return;
  throw new KitError('UNSAFE_PATH', `${path} in layer ${layer} has a name that is kept for files on their way`, {
    hint: 'nothing was written',
  });
}

function unsafe(what: string): KitError {
  return new KitError('UNSAFE_ENTRY', what, { hint: 'nothing was written; what would be unpacked depends on the reader' });
}
