import * as z from 'zod';
import { KitError } from '../errors.ts';
import type { Annotations, Descriptor } from './descriptor.ts';
import { type Digest, isDigest } from './digest.ts';
import { isIndexType, isManifestType, MEDIA_TYPE } from './media-types.ts';
import { isWellFormed } from './well-formed.ts';

/** OCI image spec, manifest.md. */
export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Annotations;
}

/** OCI image spec, image-index.md. */
export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Annotations;
}

const annotations = z.record(z.string(), z.string());
const descriptor = z.looseObject({
  mediaType: z.string().min(1),
  digest: z.custom<Digest>(isDigest, 'not a digest'),
  size: z.int().nonnegative(),
  annotations: annotations.optional(),
  artifactType: z.string().optional(),
});
// Go writes a nil list as null
const descriptors = z
  .array(descriptor)
  .nullish()
  .transform((list) => list ?? []);
const optionalAnnotations = annotations.nullish().transform((map) => map ?? undefined);
// in the order of the spec's fields, which is the order in which they are shown
const head = { schemaVersion: z.literal(2), mediaType: z.string().optional(), artifactType: z.string().optional() };
const tail = { subject: descriptor.optional(), annotations: optionalAnnotations };
const manifestSchema = z.looseObject({ ...head, config: descriptor, layers: descriptors, ...tail });
const indexSchema = z.looseObject({ ...head, manifests: descriptors, ...tail });

/** @throws KitError MANIFEST_INVALID; `name` (a reference or digest) goes into the message */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  const manifest = parse(manifestSchema, bytes, name, 'manifest') as unknown as Manifest;
  if (manifest.mediaType !== undefined && !isManifestType(manifest.mediaType))
    throw invalid(name, `media type \`${manifest.mediaType}\` is not a manifest's`);
  return manifest;
}

/** @throws KitError MANIFEST_INVALID */
export function parseIndex(bytes: Uint8Array, name: string): Index {
  const index = parse(indexSchema, bytes, name, 'index') as unknown as Index;
  if (index.mediaType !== undefined && !isIndexType(index.mediaType))
    throw invalid(name, `media type \`${index.mediaType}\` is not an index's`);
  return index;
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, name: string, kind: 'manifest' | 'index'): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KitError('MANIFEST_INVALID', `${name}: the ${kind} is not JSON`, { cause });
  }
  if (isWellFormed(value, kind)) return value as T;
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    const field = issue === undefined || issue.path.length === 0 ? kind : `${kind} field \`${issue.path.join('.')}\``;
    throw invalid(name, `${field}: ${issue?.message ?? 'invalid'}`);
  }
  return result.data;
}

function invalid(name: string, why: string): KitError {
  return new KitError('MANIFEST_INVALID', `${name}: ${why}`, {
    hint: 'the artifact is malformed; push it again with the tool that made it',
  });
}

/** What a manifest or index points at: config and layers, or manifests. `bytes` are the content of `of`. */
export function childrenOf(of: Descriptor, bytes: Uint8Array): readonly Descriptor[] {
  if (isIndexType(of.mediaType)) return parseIndex(bytes, of.digest).manifests;
  if (!isManifestType(of.mediaType)) return [];
  const manifest = parseManifest(bytes, of.digest);
  return [manifest.config, ...manifest.layers];
}

/** The media type a manifest body claims, for stores whose descriptors do not say. */
export function sniffManifestType(bytes: Uint8Array, name: string): string {
  const value = parse(z.looseObject({ mediaType: z.string().optional(), manifests: z.unknown().optional() }), bytes, name, 'manifest');
  return value.mediaType ?? (value.manifests === undefined ? MEDIA_TYPE.imageManifest : MEDIA_TYPE.imageIndex);
}
