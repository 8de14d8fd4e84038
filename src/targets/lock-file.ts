import { randomBytes } from 'node:crypto';
import { link, readFile, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { isErrno } from './io-error.ts';
import { isProcessIdentity, isRunning, ownIdentity, type ProcessIdentity } from './process-identity.ts';
import { temporaryName } from './temporary-name.ts';

/** A lock of a process that cannot be looked at from here counts as abandoned when it was not refreshed for so long. */
export const FOREIGN_LOCK_MS = 60_000;

/** What stands at a lock's path. `nonce` differs for every lock ever taken. */
export interface LockHolder {
  readonly nonce: string;
  readonly process: ProcessIdentity | undefined;
  /** RFC 3339; undefined when the file does not say. */
  readonly startedAt: string | undefined;
  readonly modifiedMs: number;
}

/** Creates `path` with this process's name in it, whole or not at all. Returns its nonce; undefined when something stands there. */
export async function createLockFile(path: string): Promise<string | undefined> {
  const nonce = randomBytes(12).toString('hex');
  const content = JSON.stringify({ ...ownIdentity(), nonce, startedAt: new Date().toISOString() });
  const temporary = `${path}.${temporaryName()}.tmp`;
  try {
    await writeFile(temporary, content, { flag: 'wx' });
    await link(temporary, path);
    return nonce;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return undefined;
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK')) throw error;
    // no hard links on this file system: exclusive creation, whose content may be read half-written (and then counts as unknown)
    return await createExclusive(path, content, nonce);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

async function createExclusive(path: string, content: string, nonce: string): Promise<string | undefined> {
  try {
    await writeFile(path, content, { flag: 'wx' });
    return nonce;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return undefined;
    throw error;
  }
}

export async function readLockFile(path: string): Promise<LockHolder | undefined> {
  try {
    const { ino, mtimeMs } = await stat(path);
    const value = parse(await readFile(path, 'utf8'));
    const nonce = typeof value?.['nonce'] === 'string' ? value['nonce'] : `${ino}-${Math.trunc(mtimeMs)}`;
    const startedAt = typeof value?.['startedAt'] === 'string' ? value['startedAt'] : undefined;
    return { nonce, process: isProcessIdentity(value) ? value : undefined, startedAt, modifiedMs: mtimeMs };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Shows processes that cannot see our pid (another container, another host) that the holder of the file is alive. Returns what ends it. */
export function keepFresh(path: string): () => void {
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, FOREIGN_LOCK_MS / 4);
  heartbeat.unref();
  return () => clearInterval(heartbeat);
}

/** `process 4711 on HOST since TIME`, for messages. */
export function describeHolder({ process: holder, startedAt }: LockHolder): string {
  const who = holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`;
  return startedAt === undefined ? who : `${who} since ${startedAt}`;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function isAbandoned(holder: LockHolder): boolean {
  const running = holder.process === undefined ? undefined : isRunning(holder.process);
  return running === undefined ? Date.now() - holder.modifiedMs > FOREIGN_LOCK_MS : !running;
}

/**
 * Takes an abandoned lock file away; never one that another process has put there meanwhile.
 *
 * Reading, judging and unlinking are three steps, so two processes could judge the same dead lock, one replace it by its own,
 * and the other unlink that. Hence the right to unlink the lock with nonce N belongs to whoever created the file `PATH.N`,
 * exclusively; it looks again under that right, and since nonces never return, what it sees then nobody else may unlink.
 * When the owner of the right is itself killed, `PATH.N` is an abandoned lock file like any other: the right to take it over is
 * `PATH.N.M`, and so on. The dead do not act, so at any time one living process at most owns the end of that chain.
 */
export async function breakAbandoned(path: string, holder: LockHolder): Promise<void> {
  const right = `${path}.${holder.nonce.slice(0, 12)}`;
  const owned = await createLockFile(right);
  if (owned === undefined) {
    const other = await readLockFile(right);
    if (other !== undefined && isAbandoned(other)) await breakAbandoned(right, other);
    return;
  }
  try {
    const now = await readLockFile(path);
    if (now?.nonce === holder.nonce && isAbandoned(now)) await unlink(path).catch(ignoreMissing);
  } finally {
    await unlink(right).catch(ignoreMissing);
  }
}

/** Gives a lock back, unless it was declared abandoned and taken over meanwhile. */
export async function removeLockFile(path: string, nonce: string): Promise<void> {
  const now = await readLockFile(path);
  if (now?.nonce === nonce) await unlink(path).catch(ignoreMissing);
}

function ignoreMissing(error: unknown): void {
  if (!isErrno(error, 'ENOENT')) throw error;
}
