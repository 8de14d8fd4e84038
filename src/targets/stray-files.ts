import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest } from '../oci/digest.ts';
import type { Finding } from './finding.ts';

const WRITABLE_BY_ALL = 0o002;

/** What has no place below `blobs/`, and what any user of the machine could change. Nothing of it harms an artifact yet. */
export async function strayFiles(directory: string): Promise<Finding[]> {
  const found: Finding[] = [];
  const blobs = join(directory, 'blobs');
  for (const algorithm of await namesIn(blobs)) {
    const folder = join(blobs, algorithm);
    if (algorithm !== 'sha256' && algorithm !== 'sha512') {
      found.push(stray(folder));
      continue;
    }
    for (const name of await namesIn(folder)) if (!isDigest(`${algorithm}:${name}`)) found.push(stray(join(folder, name)));
  }
  const open: string[] = [];
  for (const path of [directory, join(directory, 'index.json'), blobs, join(blobs, 'sha256')]) {
    // the sticky bit keeps others from replacing what is there; Windows has no such modes
    const mode =
      process.platform === 'win32'
        ? 0
        : await stat(path).then(
            (stats) => stats.mode,
            () => 0,
          );
    if ((mode & WRITABLE_BY_ALL) !== 0 && (mode & 0o1000) === 0) open.push(path);
  }
  return [...found, ...open.map(writableByAll)];
}

function stray(path: string): Finding {
  const message = 'it is no blob: the name is no digest';
  return { code: 'stray-file', severity: 'note', path, usedBy: [], message, remedy: 'delete it if you do not know it' };
}

function writableByAll(path: string): Finding {
  const message = 'every user of this machine can change it';
  return { code: 'writable-by-all', severity: 'note', path, usedBy: [], message, remedy: `\`chmod o-w ${path}\`` };
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch((): string[] => []);
}
