import type { Compression } from '../blobs/compress.ts';
import { type Annotations, describe, type Descriptor } from '../oci/descriptor.ts';
import { compareBytes, stringifyLikeGo } from '../oci/json.ts';
import { ANNOTATION, MEDIA_TYPE } from '../oci/media-types.ts';
import type { Blob, PackedLayer } from './types.ts';

/** Prompts travel as code layers with this annotation (KitOps 1.15). */
export const SUBTYPE = 'ml.kitops.modelkit.layer-subtype';

/** What follows the encoding in a layer's media type. */
export function compressionSuffix(compression: Compression): '' | '+gzip' | '+zstd' {
  return compression === 'none' ? '' : compression === 'zstd' ? '+zstd' : '+gzip';
}

export function madeBlob(mediaType: string, text: string): Blob {
  const bytes = Buffer.from(text);
  return { descriptor: describe(mediaType, bytes), bytes };
}

export function createdAnnotation(created: string | undefined): Annotations {
  return created === undefined ? {} : { [ANNOTATION.created]: created };
}

/** An OCI image manifest (image-spec, manifest.md) as Go would write it; annotations in byte order, left out when there are none. */
export function writeManifest(
  artifactType: string | undefined,
  config: Descriptor,
  layers: readonly Pick<PackedLayer, 'descriptor'>[],
  annotations: Annotations,
): Uint8Array {
  const entries = Object.entries(annotations).toSorted(([a], [b]) => compareBytes(a, b));
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType,
    config,
    layers: layers.map((layer) => layer.descriptor),
    annotations: entries.length === 0 ? undefined : new Map(entries),
  };
  return Buffer.from(stringifyLikeGo(manifest));
}
