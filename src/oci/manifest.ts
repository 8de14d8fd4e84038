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

function makeSchemas() {
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
  return {
    manifest: z.looseObject({ ...head, config: descriptor, layers: descriptors, ...tail }),
    index: z.looseObject({ ...head, manifests: descriptors, ...tail }),
  };
}

let schemas: ReturnType<typeof makeSchemas> | undefined;

/** Made when first needed, which a well-formed manifest does not: they cost 20 ms of a start. */
function schemaOf(kind: 'manifest' | 'index'): z.ZodType {
  schemas ??= makeSchemas();
  return schemas[kind];
}

/** @throws KitError MANIFEST_INVALID; `name` (a reference or digest) goes into the message */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  const manifest = parse(bytes, name, 'manifest') as Manifest;
  if (manifest.mediaType !== undefined && !isManifestType(manifest.mediaType))
    throw invalid(name, `media type \`${manifest.mediaType}\` is not a manifest's`);
  return manifest;
}

/** @throws KitError MANIFEST_INVALID */
export function parseIndex(bytes: Uint8Array, name: string): Index {
  const index = parse(bytes, name, 'index') as Index;
  if (index.mediaType !== undefined && !isIndexType(index.mediaType))
    throw invalid(name, `media type \`${index.mediaType}\` is not an index's`);
  return index;
}

function parse(bytes: Uint8Array, name: string, kind: 'manifest' | 'index'): unknown {
  const value = parseJson(bytes, name, kind);
  requireOneKind(value, name, kind);
  if (isWellFormed(value, kind)) return value;
  const result = schemaOf(kind).safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue === undefined || issue.path.length === 0 ? kind : `${kind} field \`${issue.path.join('.')}\``;
  throw invalid(name, `${field}: ${issue?.message ?? 'invalid'}`);
}

/** One document that is both could be judged as the one and used as the other, as its Content-Type has it (CVE-2021-41190). */
function requireOneKind(value: unknown, name: string, kind: 'manifest' | 'index'): void {
  if (typeof value !== 'object' || value === null) return;
  const foreign = (kind === 'manifest' ? ['manifests'] : ['config', 'layers']).find((field) => Object.hasOwn(value, field));
  if (foreign !== undefined) throw invalid(name, `the ${kind} has a field \`${foreign}\`, so that it could be taken for something else`);
}

function parseJson(bytes: Uint8Array, name: string, kind: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KitError('MANIFEST_INVALID', `${name}: the ${kind} is not JSON`, { cause });
  }
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
  const value = parseJson(bytes, name, 'manifest');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(name, 'manifest: not an object');
  const { mediaType, manifests } = value as { readonly mediaType?: unknown; readonly manifests?: unknown };
  if (mediaType !== undefined && typeof mediaType !== 'string') throw invalid(name, 'manifest field `mediaType`: not a text');
  return mediaType ?? (manifests === undefined ? MEDIA_TYPE.imageManifest : MEDIA_TYPE.imageIndex);
}
