import { isUtf8 } from 'node:buffer';
import { type BigIntStats, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KitError } from '../errors.ts';
import { compareBytes } from '../oci/json.ts';
import { type FileStamp, stampOf } from './file-stamp.ts';
import { asPathError } from './path-error.ts';
import { isWithin, unsafeReason } from './safe-path.ts';

/** A file or directory of a layer, as it will be packed. */
export interface WalkEntry {
  /** Relative to the context, with `/`. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Bytes; 0 for a directory. */
  readonly size: number;
  /** Where the content is: differs from `path` behind a symbolic link. */
  readonly source: string;
  readonly stamp: FileStamp;
}

/** What is left out of a layer. `prune` says that nothing below can be wanted either. */
export type Exclude = (path: string) => 'keep' | 'skip' | 'prune';

/** The directory that is packed. */
export interface PackContext {
  /** As the user wrote it, for messages. */
  readonly directory: string;
  readonly root: string;
  /** Directories that links may point into. */
  readonly allowed: readonly string[];
  readonly followSymlinks: boolean;
}

/** @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE */
export function openContext(directory: string, followSymlinks = false): PackContext {
  try {
    const root = realpathSync.native(directory);
    if (!statSync(root).isDirectory()) throw new KitError('PATH_NOT_FOUND', `${directory} is not a directory`);
    return { directory, root, allowed: [root, ...huggingFaceBlobs(root)], followSymlinks };
  } catch (error) {
    throw asPathError(error, directory);
  }
}

// models--ORG--NAME/snapshots/REVISION and the folders below it hold links into models--ORG--NAME/blobs
function huggingFaceBlobs(root: string): string[] {
  for (let directory = root; directory !== dirname(directory); directory = dirname(directory)) {
    const snapshots = dirname(directory);
    if (basename(snapshots) !== 'snapshots') continue;
    const repository = dirname(snapshots);
    if (/^(models|datasets|spaces)--/.test(basename(repository))) return [join(repository, 'blobs')];
  }
  return [];
}

/**
 * The entries of the layer at `layerPath` (cleaned; `.` is the whole context): its ancestors, itself and all below,
 * depth first, names in byte order. Links are followed and packed as what they point to.
 * @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | PATH_UNSUPPORTED, naming the path
 */
export function walkLayer(context: PackContext, layerPath: string, exclude: Exclude): WalkEntry[] {
  const entries: WalkEntry[] = [];
  const segments = layerPath === '.' ? [] : layerPath.split('/');
  const trail = [context.root];
  let directory = context.root;
  for (const [depth, segment] of segments.entries()) {
    const entry = inspect(context, join(directory, segment), segments.slice(0, depth + 1).join('/'));
    if (visit(entry, exclude, entries) === 'prune') return entries;
    if (depth < segments.length - 1 && entry.type !== 'directory') {
      throw new KitError('PATH_NOT_FOUND', `${layerPath} does not exist: ${entry.path} is not a directory`);
    }
    if (entry.type === 'file') return entries;
    directory = descend(context, entry, trail);
  }
  walkDirectory(context, directory, layerPath === '.' ? '' : `${layerPath}/`, exclude, entries, trail);
  return entries;
}

function visit(entry: WalkEntry, exclude: Exclude, entries: WalkEntry[]): 'keep' | 'skip' | 'prune' {
  const decision = exclude(entry.path);
  if (decision === 'keep') entries.push(entry);
  return decision;
}

function walkDirectory(
  context: PackContext,
  directory: string,
  prefix: string,
  exclude: Exclude,
  entries: WalkEntry[],
  trail: string[],
): void {
  for (const name of namesIn(directory, prefix)) {
    const path = prefix + name;
    const decision = exclude(path);
    if (decision === 'prune') continue;
    const source = join(directory, name);
    // what is ignored may be anything: only a directory below which something is wanted matters
    if (decision === 'skip' && lstatSync(source, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    const entry = inspect(context, source, path);
    if (decision === 'keep') entries.push(entry);
    if (entry.type === 'file') continue;
    const depth = trail.length;
    walkDirectory(context, descend(context, entry, trail), `${path}/`, exclude, entries, trail);
    trail.length = depth;
  }
}

function namesIn(directory: string, prefix: string): string[] {
  try {
    const names = readdirSync(directory);
    // UTF-16 order is byte order but where surrogates meet U+E000 and above
    return names.some((name) => /[\ud800-\udfff]/.test(name)) ? names.toSorted(compareBytes) : names.toSorted();
  } catch (error) {
    throw asPathError(error, prefix === '' ? directory : prefix.slice(0, -1));
  }
}

// a name that is no UTF-8 reads with U+FFFD in it; so does a file that is truly called so
function refuseOtherEncodings(location: string, path: string): void {
  const name = basename(location);
  const isOther = (bytes: Buffer): boolean => !isUtf8(bytes) && bytes.toString() === name;
  if (!name.includes('\uFFFD') || !readdirSync(dirname(location), { encoding: 'buffer' }).some(isOther)) return;
  throw new KitError('PATH_UNSUPPORTED', `${path} cannot be packed: its name is not UTF-8`, { hint: 'rename it' });
}

// the real path of a directory, refused when it is one that we are already in
function descend(context: PackContext, entry: WalkEntry, trail: string[]): string {
  if (trail.includes(entry.source)) {
    throw new KitError('PATH_UNSUPPORTED', `${entry.path} is a symbolic link to a directory that contains it (${entry.source})`, {
      hint: `remove the link, or add it to .kitignore in ${context.directory}`,
    });
  }
  trail.push(entry.source);
  return entry.source;
}

function inspect(context: PackContext, location: string, path: string): WalkEntry {
  const reason = unsafeReason(path);
  if (reason !== undefined)
    throw new KitError('PATH_UNSUPPORTED', `${JSON.stringify(path)} cannot be packed: its name ${reason}`, { hint: 'rename it' });
  refuseOtherEncodings(location, path);
  let source = location;
  let stats = look(location, path);
  if (stats.isSymbolicLink()) {
    source = resolveLink(context, location, path);
    stats = look(source, path);
  }
  const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : undefined;
  if (type === undefined) {
    throw new KitError('PATH_UNSUPPORTED', `${path} is a ${kindOf(stats)}, which cannot be packed`, {
      hint: `remove it, or add it to .kitignore in ${context.directory}`,
    });
  }
  const size = type === 'file' ? Number(stats.size) : 0;
  return { path, type, mode: Number(stats.mode & 0o7777n), size, source, stamp: stampOf(stats) };
}

function look(location: string, path: string): BigIntStats {
  try {
    return lstatSync(location, { bigint: true });
  } catch (error) {
    throw asPathError(error, path);
  }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isSocket()) return 'socket';
  if (stats.isFIFO()) return 'named pipe';
  return stats.isBlockDevice() || stats.isCharacterDevice() ? 'device' : 'special file';
}

function resolveLink(context: PackContext, location: string, path: string): string {
  let target: string;
  try {
    target = realpathSync.native(location);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new KitError('PATH_UNSUPPORTED', `${path} is a symbolic link to something that does not exist`, {
        cause: error,
        hint: 'remove the link, or add it to .kitignore',
      });
    throw asPathError(error, path);
  }
  if (!context.followSymlinks && !context.allowed.some((directory) => isWithin(target, directory))) {
    throw new KitError('PATH_UNSUPPORTED', `${path} is a symbolic link out of the directory, to ${target}`, {
      hint: 'pack what it points to with `--follow-symlinks`, or add it to .kitignore',
    });
  }
  return target;
}
