import { KitError } from '../errors.ts';
import type { Annotations, Descriptor } from './descriptor.ts';
import { FieldError, readIndex, readManifest } from './manifest-fields.ts';
import { isIndexType, isManifestType, MEDIA_TYPE } from './media-types.ts';

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

/** @throws KitError MANIFEST_INVALID; `name` (a reference or digest) goes into the message */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  const manifest = parse(bytes, name, 'manifest', readManifest);
  if (manifest.mediaType !== undefined && !isManifestType(manifest.mediaType))
    throw invalid(name, `media type \`${manifest.mediaType}\` is not a manifest's`);
  return manifest;
}

/** @throws KitError MANIFEST_INVALID */
export function parseIndex(bytes: Uint8Array, name: string): Index {
  const index = parse(bytes, name, 'index', readIndex);
  if (index.mediaType !== undefined && !isIndexType(index.mediaType))
    throw invalid(name, `media type \`${index.mediaType}\` is not an index's`);
  return index;
}

function parse<T>(bytes: Uint8Array, name: string, kind: 'manifest' | 'index', read: (value: unknown) => T): T {
  const value = parseJson(bytes, name, kind);
  requireOneKind(value, name, kind);
  try {
    return read(value);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw invalid(name, `${error.path === '' ? kind : `${kind} field \`${error.path}\``}: ${error.message}`);
  }
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
