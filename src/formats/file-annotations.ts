import * as z from 'zod';
import { type Annotations, type Descriptor } from '../oci/descriptor.ts';
import { ANNOTATION } from '../oci/media-types.ts';
import type { PackFile } from './types.ts';

export const FILEPATH = 'org.cncf.model.filepath';
const FILE_METADATA = 'org.cncf.model.file.metadata+json';
const LEGACY_FILEPATH = 'org.cnai.model.filepath';
const LEGACY_FILE_METADATA = 'org.cnai.model.file.metadata+json';

/** Mode of a file whose layer does not give one. */
export const DEFAULT_MODE = 0o644;

/** The path that a layer's annotations give, CNCF's name first. */
export function annotatedPath(layer: Descriptor): string | undefined {
  return layer.annotations?.[FILEPATH] ?? layer.annotations?.[LEGACY_FILEPATH] ?? layer.annotations?.[ANNOTATION.title];
}

const metadata = z.looseObject({ mode: z.int().nonnegative().optional() });

/** Permission bits from the file metadata annotation (model-spec, annotations.md); anything odd counts as absent. */
export function annotatedMode(layer: Descriptor): number {
  const text = layer.annotations?.[FILE_METADATA] ?? layer.annotations?.[LEGACY_FILE_METADATA];
  if (text === undefined) return DEFAULT_MODE;
  try {
    return (metadata.parse(JSON.parse(text)).mode ?? DEFAULT_MODE) & 0o777;
  } catch {
    return DEFAULT_MODE;
  }
}

/** The metadata annotation of a raw layer. No clock and no owner, so that the same file gives the same digest. */
export function fileMetadata({ path, mode, size }: Pick<PackFile, 'path' | 'mode' | 'size'>): Annotations {
  const name = path.slice(path.lastIndexOf('/') + 1);
  // typeflag as KitOps writes it: the one of a regular file in a tar header
  const value = { name, mode: mode & 0o777, uid: 0, gid: 0, size, mtime: '1970-01-01T00:00:00Z', typeflag: 48 };
  return { [FILE_METADATA]: JSON.stringify(value) };
}

/** All names by which readers look for the file of a raw layer: ModelPack's, and the title that oras, omlmd and podman go by. */
export function namedFile(file: Pick<PackFile, 'path' | 'mode' | 'size'>): Annotations {
  return { ...fileMetadata(file), [FILEPATH]: file.path, [ANNOTATION.title]: file.path };
}
