import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readlinkSync, realpathSync, rmdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { KitError } from '../errors.ts';
import { asPathError } from './path-error.ts';

/** How hidden folders begin that a run writes into; no artifact may name one. */
export const STAGING_PREFIX = '.kit-unpack-';

/** The hidden folder of one run inside a target directory. */
export class StagingFolder {
  /** Real path of the target directory. */
  readonly target: string;
  /** True when the target was not there before. */
  readonly isNew: boolean;
  /** What is on its way in, and what had to make way. */
  readonly incoming: string;
  readonly replaced: string;
  readonly #path: string;
  readonly #made: readonly string[];

  /** Creates the target where it is missing, and removes what a killed run left in it. @throws KitError */
  constructor(target: string) {
    this.#made = missingParts(resolve(target));
    this.isNew = this.#made.length > 0;
    try {
      mkdirSync(target, { recursive: true });
      this.target = realpathSync.native(target);
      sweep(this.target);
      this.#path = join(this.target, `${STAGING_PREFIX}${owner()}-${process.pid}-${randomBytes(4).toString('hex')}`);
      this.incoming = join(this.#path, 'incoming');
      this.replaced = join(this.#path, 'replaced');
      mkdirSync(this.#path, 0o700);
      mkdirSync(this.incoming, 0o700);
      mkdirSync(this.replaced, 0o700);
    } catch (error) {
      this.#removeTarget();
      const failure = asPathError(error, target);
      throw failure instanceof KitError && failure.code === 'PATH_EXISTS'
        ? new KitError('PATH_EXISTS', `${target} is not a directory`, { cause: error, hint: 'name another directory with `--dir`' })
        : failure;
    }
  }

  /** Removes the folder, and the target if it was made for nothing. */
  async remove(): Promise<void> {
    try {
      await rm(this.#path, { recursive: true, force: true });
    } catch (error) {
      throw asPathError(error, this.#path);
    }
    this.#removeTarget();
  }

  #removeTarget(): void {
    try {
      for (const directory of this.#made) rmdirSync(directory);
    } catch {
      // not empty, or never made
    }
  }
}

// deepest first
function missingParts(path: string): string[] {
  const missing: string[] = [];
  for (let part = path; !existsSync(part) && part !== dirname(part); part = dirname(part)) missing.push(part);
  return missing;
}

// process ids mean something on one machine and in one container only; a directory may be shared by several
function owner(): string {
  let namespace = '';
  try {
    namespace = readlinkSync('/proc/self/ns/pid');
  } catch {
    // not Linux
  }
  return createHash('sha256').update(`${hostname()} ${namespace}`).digest('hex').slice(0, 8);
}

function sweep(target: string): void {
  const mine = `${STAGING_PREFIX}${owner()}-`;
  for (const name of readdirSync(target)) {
    const pid = name.startsWith(mine) ? Number.parseInt(name.slice(mine.length), 10) : Number.NaN;
    if (!Number.isInteger(pid) || pid === process.pid || isRunning(pid)) continue;
    try {
      rmSync(join(target, name), { recursive: true, force: true });
    } catch {
      // another user's: it is in nobody's way
    }
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
