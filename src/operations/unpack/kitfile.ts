import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../../blobs/path-error.ts';
import type { Conflict, Staging } from '../../blobs/staging.ts';
import { KitError } from '../../errors.ts';
import { KITFILE_NAMES } from '../../kitfile/parse.ts';
import { printKitfile } from '../../kitfile/print.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import type { Kit } from '../kit.ts';
import { recallKitfile } from '../artifact/kitfile-record.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';

/**
 * Stages the Kitfile. One that is there and says the same stays as it is, with its comments.
 * Returns whether a new one will be written. @throws KitError PATH_EXISTS
 */
export async function stageKitfile(kit: Kit, staging: Staging, artifact: LoadedArtifact, conflict: Conflict): Promise<'unpacked' | 'kept'> {
  const kitfile = artifact.kitfile as Kitfile;
  const path = join(staging.target, KITFILE_NAMES[0]);
  const existing = await readExisting(path);
  if (existing !== undefined) {
    if (conflict === 'keep' || printKitfile(kitfile, existing) === existing) return 'kept';
    if (conflict === 'fail') {
      throw new KitError('PATH_EXISTS', `${path} exists and does not match the ModelKit's Kitfile`, {
        hint: 'use `--overwrite` to replace it, `--ignore-existing` to keep it, or `--dir` to unpack elsewhere',
      });
    }
  }
  const text = printKitfile(kitfile, await recallKitfile(kit, artifact.manifest.config.digest));
  staging.wants(KITFILE_NAMES[0], artifact.manifest.config.digest);
  staging.addSmallFile(KITFILE_NAMES[0], 0o644, Buffer.from(text), artifact.manifest.config.digest);
  return 'unpacked';
}

async function readExisting(path: string): Promise<string | undefined> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile()) throw new KitError('PATH_EXISTS', `${path} exists and is not a regular file`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw asPathError(error, path);
  }
}
