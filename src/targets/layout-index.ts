import { readFile, stat } from 'node:fs/promises';
import { asPathError } from '../blobs/path-error.ts';
import { isKitError, KitError } from '../errors.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { type Index, parseIndex } from '../oci/manifest.ts';
import { ANNOTATION, MEDIA_TYPE } from '../oci/media-types.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { isErrno } from './io-error.ts';

/** The content of the `oci-layout` file (OCI image spec, image-layout.md#oci-layout-file). */
export const LAYOUT_MARKER = '{"imageLayoutVersion":"1.0.0"}';
export const EMPTY_INDEX: Index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] };
/** An index.json holds one entry a tag; this is room for some hundred thousand. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;

export const REBUILD_HINT = '`kit store check --repair` rebuilds it from what is stored (of a layout: `kit store check oci:DIR --repair`)';

/** @throws KitError STORE_INVALID naming `file` */
export function parseLayoutIndex(bytes: Uint8Array, file: string): Index {
  try {
    return parseIndex(bytes, file);
  } catch (error) {
    if (!isKitError(error, 'MANIFEST_INVALID')) throw error;
    throw new KitError('STORE_INVALID', error.message, {
      hint: REBUILD_HINT,
      cause: error.cause,
    });
  }
}

/** @throws KitError STORE_INVALID unless `text` is an oci-layout file of a version that we know */
export function checkLayoutMarker(text: string, file: string): void {
  const version = /^\s*\{[^{}]*"imageLayoutVersion"\s*:\s*"([^"]*)"[^{}]*\}\s*$/.exec(text)?.[1];
  if (version === '1.0.0') return;
  const why = version === undefined ? 'it does not name an image layout version' : `image layout version \`${version}\` is unknown`;
  throw new KitError('STORE_INVALID', `${file}: ${why}`, { hint: 'an image layout has `{"imageLayoutVersion":"1.0.0"}` there' });
}

/** The index in `file`; undefined when there is no such file. @throws KitError STORE_INVALID */
export async function readIndexFile(file: string): Promise<Index | undefined> {
  try {
    const { size } = await stat(file);
    if (size > MAX_INDEX_BYTES) throw new KitError('STORE_INVALID', `${file}: ${size} bytes, the limit is ${MAX_INDEX_BYTES}`);
    return parseLayoutIndex(await readFile(file), file);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw asPathError(error, file);
  }
}

export async function writeIndexFile(file: string, index: Index): Promise<void> {
  await writeFileAtomic(file, serializeIndex(index));
}

/** Compact, with every field and annotation of the entries as they were read. */
export function serializeIndex(index: Index): string {
  const { schemaVersion, mediaType: _, manifests, ...rest } = index;
  return JSON.stringify({ schemaVersion, mediaType: MEDIA_TYPE.imageIndex, manifests, ...rest });
}

export function refNameOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[ANNOTATION.refName];
}

/** The entry without the annotations named. */
export function withoutAnnotations<T extends Descriptor>(entry: T, ...names: string[]): T {
  const { annotations = {}, ...rest } = entry;
  const kept = Object.fromEntries(Object.entries(annotations).filter(([name]) => !names.includes(name)));
  return (Object.keys(kept).length === 0 ? rest : { ...rest, annotations: kept }) as T;
}

export function withAnnotations(entry: Descriptor, added: Annotations): Descriptor {
  return { ...entry, annotations: { ...entry.annotations, ...added } };
}

/** The manifest that a tag or digest names. A tag that stands there twice means the last one, as for oras. */
export function findEntry(entries: readonly Descriptor[], reference: string): Descriptor | undefined {
  const found = isDigest(reference)
    ? entries.find((entry) => entry.digest === reference)
    : entries.findLast((entry) => refNameOf(entry) === reference);
  return found === undefined ? undefined : withoutAnnotations(found, ANNOTATION.refName);
}

/** Lists the manifest without a tag, unless it is listed already. */
export function withManifest(entries: readonly Descriptor[], manifest: Descriptor): readonly Descriptor[] {
  return entries.some((entry) => entry.digest === manifest.digest)
    ? entries
    : [...entries, withoutAnnotations(manifest, ANNOTATION.refName)];
}

/** Puts the tag on the manifest. One that it is taken from stays listed without it. */
export function withTag(entries: readonly Descriptor[], manifest: Descriptor, tag: string): readonly Descriptor[] {
  const current = entries.filter((entry) => refNameOf(entry) === tag);
  if (current.length === 1 && current[0]?.digest === manifest.digest) return entries;
  const others = withoutTag(entries, tag);
  const tagged = (entry: Descriptor) => withAnnotations(entry, { [ANNOTATION.refName]: tag });
  const untagged = others.findIndex((entry) => entry.digest === manifest.digest && refNameOf(entry) === undefined);
  if (untagged === -1) return [...others, tagged(others.find((entry) => entry.digest === manifest.digest) ?? manifest)];
  return others.map((entry, position) => (position === untagged ? tagged(entry) : entry));
}

/** Takes the tag away; its manifest stays listed. */
export function withoutTag(entries: readonly Descriptor[], tag: string): readonly Descriptor[] {
  const kept: Descriptor[] = [];
  for (const entry of entries) {
    const sameManifest = (other: Descriptor) => other.digest === entry.digest;
    if (refNameOf(entry) !== tag) kept.push(entry);
    else if (!kept.some(sameManifest) && !entries.some((other) => sameManifest(other) && refNameOf(other) !== tag))
      kept.push(withoutAnnotations(entry, ANNOTATION.refName));
  }
  return kept;
}

export function withoutManifest(entries: readonly Descriptor[], digest: Digest): readonly Descriptor[] {
  return entries.filter((entry) => entry.digest !== digest);
}

/** An index stands for its manifests: those that nothing else names need no entry of their own. */
export function withoutChildren(entries: readonly Descriptor[], children: readonly Descriptor[]): readonly Descriptor[] {
  const folded = new Set(children.map((child) => child.digest));
  return entries.filter((entry) => !folded.has(entry.digest) || refNameOf(entry) !== undefined);
}

/** Every tag once, in the order of the entries. */
export function tagsOf(entries: readonly Descriptor[]): string[] {
  return [...new Set(entries.map(refNameOf).filter((tag) => tag !== undefined))];
}
