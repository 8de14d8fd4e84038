import { posix } from 'node:path';
import { isWithin } from '../../blobs/safe-path.ts';
import type { Exclude } from '../../blobs/walk.ts';
import { KitError } from '../../errors.ts';
import type { PackFile } from '../../formats/types.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import type { ContextEntry } from '../../kitfile/generate.ts';
import { compareBytes } from '../../oci/json.ts';

/** A file or directory that will be packed from afar. */
export interface ImportEntry extends PackFile {
  /** Of a file. */
  readonly file: RemoteFile | undefined;
}

/** Files that lie elsewhere, as a directory: what `walkLayer` is for one on disk. */
export class ImportTree {
  readonly #entries = new Map<string, ImportEntry>();
  /** Paths by the directory that holds them, in byte order of their names; '' is the top. */
  readonly #children = new Map<string, string[]>();

  /** @throws KitError UNSAFE_PATH when a path is both a file and a directory */
  constructor(files: readonly RemoteFile[]) {
    for (const file of files) {
      this.#add({ path: file.path, type: 'file', mode: file.mode, size: file.size, file });
      for (let path = posix.dirname(file.path); path !== '.'; path = posix.dirname(path))
        this.#add({ path, type: 'directory', mode: 0o755, size: 0, file: undefined });
    }
    for (const paths of this.#children.values()) paths.sort((a, b) => compareBytes(posix.basename(a), posix.basename(b)));
  }

  file(path: string): RemoteFile | undefined {
    return this.#entries.get(path)?.file;
  }

  /** The ancestors of `layerPath`, itself and all below, depth first. @throws KitError PATH_NOT_FOUND */
  walk(layerPath: string, exclude: Exclude): ImportEntry[] {
    const found: ImportEntry[] = [];
    if (layerPath === '.') {
      this.#descend('', exclude, found);
      return found;
    }
    const segments = layerPath.split('/');
    for (const depth of segments.keys()) {
      const path = segments.slice(0, depth + 1).join('/');
      const entry = this.#entries.get(path);
      if (entry === undefined) throw new KitError('PATH_NOT_FOUND', `${layerPath} does not exist`);
      const decision = exclude(path);
      if (decision === 'keep') found.push(entry);
      if (decision === 'prune') return found;
    }
    this.#descend(layerPath, exclude, found);
    return found;
  }

  /** The files at or below a path. */
  filesBelow(path: string): RemoteFile[] {
    return [...this.#entries.values()].flatMap(({ file }) => (file !== undefined && isWithin(file.path, path) ? [file] : []));
  }

  /** Files and directories, in byte order. */
  topLevel(): readonly string[] {
    return this.#children.get('') ?? [];
  }

  /** What a Kitfile is generated from: two levels. */
  entries(levels: number): ContextEntry[] {
    return [...this.#entries.values()]
      .filter(({ path }) => path.split('/').length <= levels)
      .map(({ path, size, type }) => ({ path, size, isDirectory: type === 'directory' }));
  }

  #add(entry: ImportEntry): void {
    const before = this.#entries.get(entry.path);
    if (before !== undefined) {
      if (before.type === entry.type && entry.type === 'directory') return;
      throw new KitError('UNSAFE_PATH', `${entry.path} is named twice, or is both a file and a directory`);
    }
    this.#entries.set(entry.path, entry);
    const parent = posix.dirname(entry.path);
    const key = parent === '.' ? '' : parent;
    const siblings = this.#children.get(key) ?? [];
    this.#children.set(key, siblings);
    siblings.push(entry.path);
  }

  #descend(directory: string, exclude: Exclude, found: ImportEntry[]): void {
    for (const path of this.#children.get(directory) ?? []) {
      const decision = exclude(path);
      if (decision === 'prune') continue;
      const entry = this.#entries.get(path);
      if (decision === 'keep' && entry !== undefined) found.push(entry);
      this.#descend(path, exclude, found);
    }
  }
}
