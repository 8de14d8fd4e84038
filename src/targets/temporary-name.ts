import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isRunning, ownIdentity } from './process-identity.ts';

const NAME = /(?:^|[.-])(\d+)-([0-9a-f]{8})-[0-9a-f]{12}\.(?:tmp|partial)$/;
const OLD_MS = 24 * 60 * 60 * 1000;

/** `PID-PLACE-RANDOM`, for the name of a file that must be swept when its process dies; it ends in `.tmp` or `.partial`. */
export function temporaryName(): string {
  return `${process.pid}-${place()}-${randomBytes(6).toString('hex')}`;
}

/** The temporary files of dead processes, and of processes that cannot be seen from here those a day old. Only names that start with `prefix`. */
export async function abandonedTemporary(directory: string, prefix = ''): Promise<string[]> {
  const names = await readdir(directory).catch((): string[] => []);
  const found: string[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const [, pid, where] = NAME.exec(name) ?? [];
    if (pid === undefined || !name.startsWith(prefix)) continue;
    const isDead = where === place() ? isRunning({ ...ownIdentity(), pid: Number(pid), started: '' }) === false : await isOld(path);
    if (isDead) found.push(path);
  }
  return found;
}

/** Deletes them. */
export async function sweepTemporary(directory: string, prefix = ''): Promise<void> {
  for (const path of await abandonedTemporary(directory, prefix)) await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

async function isOld(path: string): Promise<boolean> {
  return await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > OLD_MS,
    () => false,
  );
}

/** Short for this host and pid namespace. */
function place(): string {
  const { host, space } = ownIdentity();
  return createHash('sha256').update(`${host}\n${space}`).digest('hex').slice(0, 8);
}
