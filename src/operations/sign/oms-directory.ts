import { isUtf8 } from 'node:buffer';
import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { digestFile } from '../../blobs/digest-file.ts';
import { asPathError } from '../../blobs/path-error.ts';
import { isWithin } from '../../blobs/safe-path.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { digestHex } from '../../oci/digest.ts';
import { StreamDigester } from '../../oci/stream-digester.ts';
import { isIgnored, type ModelFiles, type SignedModel } from '../../signing/oms-statement.ts';
import { runAll } from '../../targets/run-all.ts';

interface FoundFile {
  readonly path: string;
  readonly location: string;
  readonly size: number;
}

/**
 * The regular files below a directory with the SHA-256 of each, but for those that are ignored (OpenSSF Model Signing v1.0, section 6.1).
 * @throws KitError PATH_UNSUPPORTED for a link that is not allowed, a device, a name that is no UTF-8
 */
export async function hashDirectory(
  directory: string,
  { ignored, allowSymlinks }: Pick<SignedModel, 'ignored' | 'allowSymlinks'>,
  concurrency: number,
  call: CallOptions,
): Promise<ModelFiles> {
  const root = realRoot(directory);
  const found = [...walk({ root, directory, ignored, allowSymlinks }, '')];
  call.onEvent?.({ type: 'plan', blobs: found.length, bytes: found.reduce((sum, { size }) => sum + size, 0) });
  const files = new Map<string, string>();
  await runAll(found, concurrency, call.signal, async ({ path, location, size }, signal) => {
    call.onEvent?.({ type: 'blob', id: path, action: 'hash', label: path, total: size });
    const digester = new StreamDigester('sha256', size);
    try {
      const read = await digestFile(location, digester, { signal });
      files.set(path, digestHex(await digester.digest()));
      call.onEvent?.({ type: 'bytes', id: path, delta: read });
      call.onEvent?.({ type: 'done', id: path, outcome: 'copied' });
    } finally {
      digester.abandon();
    }
  });
  return files;
}

interface Walk extends Pick<SignedModel, 'ignored' | 'allowSymlinks'> {
  /** Real path of the directory. */
  readonly root: string;
  /** As the user wrote it. */
  readonly directory: string;
}

function* walk(options: Walk, folder: string): Generator<FoundFile> {
  const location = join(options.root, folder);
  for (const entry of entriesOf(location)) {
    if (!isUtf8(entry.name)) throw unsupported(join(options.directory, folder, entry.name.toString()), 'its name is not UTF-8');
    const name = entry.name.toString();
    const path = folder === '' ? name : `${folder}/${name}`;
    if (isIgnored(path, options.ignored)) continue;
    if (entry.isDirectory()) yield* walk(options, path);
    else yield regularFile(options, path, entry);
  }
}

function entriesOf(location: string): Dirent<Buffer>[] {
  try {
    return readdirSync(location, { withFileTypes: true, encoding: 'buffer' });
  } catch (error) {
    throw asPathError(error, location);
  }
}

function regularFile({ root, directory, allowSymlinks }: Walk, path: string, entry: Dirent<Buffer>): FoundFile {
  const location = join(root, path);
  const shown = join(directory, path);
  if (entry.isSymbolicLink()) {
    if (!allowSymlinks) throw unsupported(shown, 'it is a symbolic link, and the model is signed without any');
    requireWithin(root, location, shown);
  }
  try {
    const stats = statSync(location);
    if (stats.isFile()) return { path, location, size: stats.size };
  } catch (error) {
    throw asPathError(error, shown);
  }
  throw unsupported(shown, entry.isSymbolicLink() ? 'it is a symbolic link to something that is no file' : 'it is no regular file');
}

function requireWithin(root: string, location: string, shown: string): void {
  let real: string;
  try {
    real = realpathSync.native(location);
  } catch (error) {
    throw asPathError(error, shown);
  }
  if (!isWithin(real, root)) throw unsupported(shown, `it is a symbolic link out of the directory, to ${real}`);
}

function realRoot(directory: string): string {
  try {
    return realpathSync.native(directory);
  } catch (error) {
    throw asPathError(error, directory);
  }
}

function unsupported(path: string, why: string): KitError {
  return new KitError('PATH_UNSUPPORTED', `${path} has no place in a signed model: ${why}`, {
    hint: 'remove it; a directory that was unpacked as it was signed has no such thing',
  });
}
