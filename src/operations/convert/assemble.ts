import type { PackFormat, PlannedLayer } from '../../formats/types.ts';
import { FILEPATH } from '../../formats/file-annotations.ts';
import { SUBTYPE } from '../../formats/write-manifest.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import type { MovedEntry, MovedFile, NewBlob } from './move.ts';
import type { NewLayer } from './output.ts';

/** The layers as the format types and names them, in the order of the manifest. @throws KitError as `format.plan` */
export function planMoved(format: PackFormat, entries: readonly MovedEntry[], warn: (code: string, message: string) => void): NewLayer[] {
  const files = entries.filter(({ archive }) => archive === undefined);
  const raw = format
    .plan(files, { encoding: 'raw', compression: 'none', warn })
    .flatMap((layer) => layer.files.flatMap((file) => (file.blob === undefined ? [] : newLayer(layer, file.blob, file.annotations))));
  const tar = entries.flatMap(({ entry, path, archive }) => {
    if (archive === undefined) return [];
    const { compression, annotations } = archive;
    const planned = format.plan<MovedFile>([{ entry, path, files: [] }], { encoding: 'tar', compression, warn });
    return planned.map((layer) => newLayer(layer, archive, annotations));
  });
  if (raw.length === 0 || tar.length === 0) return [...raw, ...tar];
  const position = new Map(entries.map(({ entry }, index) => [`${entry.role}:${entry.index}`, index]));
  const positionOf = ({ role, index }: NewLayer): number => position.get(`${role}:${index}`) ?? 0;
  return [...raw, ...tar].toSorted((a, b) => positionOf(a) - positionOf(b));
}

function newLayer(planned: PlannedLayer<MovedFile>, blob: NewBlob, before: Annotations | undefined): NewLayer {
  const { entry, path, mediaType, encoding } = planned;
  const { digest, size, diffId, reused } = blob;
  const annotations = { ...foreign(before), ...planned.annotations, ...keptMetadata(before, planned.annotations) };
  return {
    role: entry.role,
    index: entry.index,
    path: encoding === 'raw' ? cleanLayerPath(path) : path,
    descriptor: { mediaType, digest, size, annotations },
    diffId,
    reused,
  };
}

const METADATA = 'org.cncf.model.file.metadata+json';
const NAMES = new Set<string>([
  FILEPATH,
  METADATA,
  SUBTYPE,
  ANNOTATION.title,
  'org.cnai.model.filepath',
  'org.cnai.model.file.metadata+json',
]);

/** What somebody wrote on the layer besides what formats write. */
function foreign(annotations: Annotations | undefined): Annotations {
  return Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => !NAMES.has(key) && !key.startsWith('olot.')));
}

/** Owner and time of a file, where the layer gave them. */
function keptMetadata(before: Annotations | undefined, planned: Annotations): Annotations {
  const metadata = before?.[METADATA];
  return metadata === undefined || planned[METADATA] === undefined ? {} : { [METADATA]: metadata };
}
