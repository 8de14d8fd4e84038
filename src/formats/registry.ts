import type { Descriptor } from '../oci/descriptor.ts';
import type { Manifest } from '../oci/manifest.ts';
import { dockerModel } from './docker-model.ts';
import { generic } from './generic.ts';
import { modelcar, SOURCE_DIGEST } from './modelcar.ts';
import { modelkit } from './modelkit.ts';
import { modelpack } from './modelpack.ts';
import { omlmd } from './omlmd.ts';
import type { Format, PackFormat } from './types.ts';

/** The formats that models are packed in. */
export const PACK_FORMATS = { modelkit, modelpack, 'docker-model': dockerModel, omlmd } as const satisfies Record<string, PackFormat>;
export type PackFormatName = keyof typeof PACK_FORMATS;

/** In order of preference: the first that knows a manifest reads it. */
const FORMATS: readonly Format[] = [...Object.values(PACK_FORMATS), modelcar];

/** The format of a manifest; any other artifact is read as plain files. */
export function formatOf(manifest: Manifest): Format {
  return FORMATS.find((format) => format.detect(manifest)) ?? generic;
}

const MODEL_TYPES: readonly (readonly [RegExp, PackFormatName])[] = [
  [/^application\/vnd\.kitops\.modelkit\.manifest\.v1\+json$/, 'modelkit'],
  [/^application\/vnd\.(?:cncf|cnai)\.model\.manifest\.v1\+json$/, 'modelpack'],
];
/** How olot marks the ModelPack beside the images of an index: the descriptor has no artifactType. */
const MANIFEST_KIND = 'io.opendatahub.modelcar.manifest.type';

/** The kind of model that an index says one of its manifests is; undefined when it says nothing of the sort. */
export function modelTypeOf({ artifactType = '', annotations }: Descriptor): PackFormatName | undefined {
  const known = MODEL_TYPES.find(([type]) => type.test(artifactType))?.[1];
  return known ?? (annotations?.[MANIFEST_KIND] === 'modelpack' ? 'modelpack' : undefined);
}

/** The first of several manifests that were all made of one artifact, as the images of a Modelcar for several platforms are; else undefined. */
export function oneOfSameSource(manifests: readonly Descriptor[]): Descriptor | undefined {
  const sources = new Set(manifests.map(({ annotations }) => annotations?.[SOURCE_DIGEST]));
  return sources.size === 1 && !sources.has(undefined) ? manifests[0] : undefined;
}
