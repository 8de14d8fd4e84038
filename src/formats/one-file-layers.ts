import { posix } from 'node:path';
import type { EntryFiles, PackFile, PlannedLayer, PlanOptions } from './types.ts';

/** A raw layer to which the format still gives its media type. */
export type OneFile<File extends PackFile> = Omit<PlannedLayer<File>, 'mediaType' | 'annotations'> & { readonly file: File };

/** Every file of the entries as a raw layer of its own; folders without files, which no such layer can hold, are named in a warning. */
export function oneFileLayers<File extends PackFile>(
  entries: readonly EntryFiles<File>[],
  { warn }: Pick<PlanOptions, 'warn'>,
): OneFile<File>[] {
  const layers = entries.flatMap(({ entry, files }) =>
    files
      .filter(({ type }) => type === 'file')
      .map((file): OneFile<File> => ({ entry, path: file.path, encoding: 'raw', compression: 'none', files: [file], file })),
  );
  // what looks empty in one entry may hold the files of another
  const filled = new Set<string>();
  for (const { path } of layers) {
    for (let folder = posix.dirname(path); folder !== '.' && !filled.has(folder); folder = posix.dirname(folder)) filled.add(folder);
  }
  const folders = entries.flatMap(({ files }) => files.filter(({ type }) => type === 'directory'));
  for (const path of new Set(folders.map((folder) => folder.path))) {
    if (!filled.has(path)) warn('DIRECTORY_LEFT_OUT', `${path} is an empty directory: left out, since this format holds files only`);
  }
  return layers;
}
