import { readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { compareBytes, stringifyLikeGo } from '../oci/json.ts';
import { parseManifest } from '../oci/manifest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { isErrno, withPath } from './io-error.ts';
import { parseLayoutIndex, REBUILD_HINT } from './layout-index.ts';
import type { RepositoryIndex } from './repository-index.ts';
import { runAll } from './run-all.ts';

/** KitOps keeps the manifests of each repository in `<base64url(registry/repository)>-index.json` and its tags in `...-tags.json`. */
export interface KitopsRepository extends RepositoryIndex {
  /** When its tags last changed, in ns since 1970; 0n without tags. */
  readonly tagsChangedNs: bigint;
}

const INDEX_NAME = /^([A-Za-z0-9_-]*={0,2})-(?:index|tags)\.json$/;
/** The longest file name that common file systems take. */
const MAX_NAME_BYTES = 255;
const READS_AT_A_TIME = 16;

/** The name that KitOps gives our repository: `tiny` is `localhost/tiny` there. */
export function toKitopsName(repository: string): string {
  const slash = repository.indexOf('/');
  const first = slash === -1 ? '' : repository.slice(0, slash);
  return /[.:[]/.test(first) ? repository : `localhost/${repository}`;
}

function fromKitopsName(name: string): string {
  return name.startsWith('localhost/') ? name.slice('localhost/'.length) : name;
}

/** False for a name that would not fit in a file name. */
export function fitsKitops(repository: string): boolean {
  return fileName(repository, 'index').length <= MAX_NAME_BYTES;
}

/** KitOps 1.7 crashes on any other manifest in its files. @throws KitError MANIFEST_INVALID */
export function isModelKit(manifest: Descriptor, bytes: Uint8Array): boolean {
  if (manifest.mediaType !== MEDIA_TYPE.imageManifest) return false;
  return parseManifest(bytes, manifest.digest).config.mediaType === 'application/vnd.kitops.modelkit.config.v1+json';
}

/** Every repository in the KitOps files of a storage directory, by our names. @throws KitError STORE_INVALID naming a broken file */
export async function readKitopsRepositories(storage: string): Promise<Map<string, KitopsRepository>> {
  const found = await kitopsRepositoryNames(storage);
  const contents: KitopsRepository[] = [];
  await runAll([...found.entries()], READS_AT_A_TIME, undefined, async ([index, repository]) => {
    contents[index] = await readKitopsRepository(storage, repository);
  });
  return new Map(contents.map((content, index) => [found[index] ?? '', content]));
}

/** The repositories that have KitOps files, by our names. */
export async function kitopsRepositoryNames(storage: string): Promise<string[]> {
  const names = await readdir(storage).catch((): string[] => []);
  return [...new Set(names.map(repositoryOfFile))].filter((repository) => repository !== undefined);
}

/** The files of a repository, whether they are there or not. */
export function kitopsFiles(storage: string, repository: string): string[] {
  return [join(storage, fileName(repository, 'index')), join(storage, fileName(repository, 'tags'))];
}

/** Rewrites the two files of a repository in KitOps' form, where they change; empty ones are deleted, as KitOps does. */
export async function writeKitopsRepository(storage: string, repository: string, content: RepositoryIndex): Promise<void> {
  if (!fitsKitops(repository)) return;
  const manifests = content.manifests.map(plain);
  const tags = [...content.tags].toSorted(([a], [b]) => compareBytes(a, b)).map(([tag, manifest]) => [tag, plain(manifest)] as const);
  // a tag must never name a manifest that the index lacks
  const write = async (kind: 'index' | 'tags', text: string | undefined) => await replace(join(storage, fileName(repository, kind)), text);
  const index = manifests.length === 0 ? undefined : stringifyLikeGo({ schemaVersion: 2, manifests });
  if (index === undefined) await write('tags', undefined);
  await write('index', index);
  if (index !== undefined) await write('tags', tags.length === 0 ? undefined : stringifyLikeGo(new Map(tags)));
}

async function replace(path: string, text: string | undefined): Promise<void> {
  if (text !== undefined) {
    if ((await readFile(path, 'utf8').catch(() => undefined)) !== text) await writeFileAtomic(path, text);
    return;
  }
  await withPath(path, async () => {
    await unlink(path).catch((error: unknown) => {
      if (!isErrno(error, 'ENOENT')) throw error;
    });
  });
}

/** @throws KitError STORE_INVALID naming a broken file */
export async function readKitopsRepository(storage: string, repository: string): Promise<KitopsRepository> {
  const indexFile = join(storage, fileName(repository, 'index'));
  const tagsFile = join(storage, fileName(repository, 'tags'));
  // tags first: what a writer adds to both between the two reads is then at worst an untagged manifest
  const tagsText = await readOptional(tagsFile);
  const tagsChangedNs = tagsText === undefined ? 0n : await changedNs(tagsFile);
  const indexText = await readOptional(indexFile);
  const manifests = new Map(
    (indexText === undefined ? [] : parseLayoutIndex(indexText, indexFile).manifests).map((manifest) => [manifest.digest, plain(manifest)]),
  );
  const tags = new Map(tagsText === undefined ? [] : parseTags(tagsText, tagsFile));
  for (const manifest of tags.values()) if (!manifests.has(manifest.digest)) manifests.set(manifest.digest, manifest);
  return { manifests: [...manifests.values()], tags, tagsChangedNs };
}

function parseTags(bytes: Uint8Array, file: string): [string, Descriptor][] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidTags(file, 'it is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidTags(file, 'it is not a map of tags');
  // the descriptors are checked as those of an index are
  const entries: [string, unknown][] = Object.entries(value);
  const { manifests } = parseLayoutIndex(
    Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: entries.map(([, entry]) => entry) })),
    file,
  );
  return entries.flatMap(([tag], position) => {
    const manifest = manifests[position];
    return manifest === undefined ? [] : [[tag, plain(manifest)] as [string, Descriptor]];
  });
}

function invalidTags(file: string, why: string, cause?: unknown): KitError {
  return new KitError('STORE_INVALID', `${file}: ${why}`, {
    hint: REBUILD_HINT,
    cause,
  });
}

async function readOptional(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw asPathError(error, path);
  }
}

async function changedNs(path: string): Promise<bigint> {
  return await stat(path, { bigint: true }).then(
    ({ mtimeNs }) => mtimeNs,
    () => 0n,
  );
}

function fileName(repository: string, kind: 'index' | 'tags'): string {
  const encoded = Buffer.from(toKitopsName(repository)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  return `${encoded}-${kind}.json`;
}

/** Undefined for other files, and for names that would not lead back to the same file. */
function repositoryOfFile(name: string): string | undefined {
  const encoded = INDEX_NAME.exec(name)?.[1];
  if (encoded === undefined) return undefined;
  const repository = fromKitopsName(Buffer.from(encoded, 'base64url').toString('utf8'));
  return fileName(repository, 'index').startsWith(`${encoded}-`) ? repository : undefined;
}

/** Only what names the content, in the order of Go's struct. */
function plain({ mediaType, digest, size, artifactType }: Descriptor): Descriptor {
  return { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) };
}
