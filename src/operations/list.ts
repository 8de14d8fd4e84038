import { setImmediate } from 'node:timers/promises';
import { type ErrorCode, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { isManifestType } from '../oci/media-types.ts';
import type { Location } from '../oci/reference.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import { runAll } from '../targets/run-all.ts';
import { readSoundBlob } from '../targets/sound-blob.ts';
import type { ReadTarget } from '../targets/types.ts';
import type { Kit } from './kit.ts';
import { type LoadedArtifact, loadArtifact, readArtifact } from './load-artifact.ts';

/** One artifact of a repository. */
export interface ListEntry {
  readonly repository: string;
  readonly digest: Digest;
  readonly tags: readonly string[];
  /** Undefined where the Kitfile gives none. */
  readonly name: string | undefined;
  readonly author: string | undefined;
  /** Bytes of all layers. */
  readonly size: number;
  readonly format: string;
}

/** What is in the store, by repository and digest. One that cannot be read is a warning, so that the others are seen. */
export async function listLocal(kit: Kit, call: CallOptions = {}): Promise<ListEntry[]> {
  const store = await kit.store();
  const found = (await store.list()).filter(({ descriptor }) => isManifestType(descriptor.mediaType));
  const present: ListEntry[] = [];
  for (const [index, { repository, tags, descriptor }] of found.entries()) {
    // files are read synchronously: an interrupt is let in now and then
    if (index % READS_AT_A_TIME === 0) await setImmediate();
    call.signal?.throwIfAborted();
    const load = async (): Promise<LoadedArtifact> =>
      await readArtifact(
        descriptor,
        `${repository}:${descriptor.digest}`,
        (blob) => readSoundBlob(store.blobs.pathOf(blob.digest), blob) ?? fetchMetadata(store.blobs, blob, call),
      );
    const shown = repository === '_' ? '<none>' : repository;
    const entry = await describeArtifact(load, { repository: shown, tags, reference: descriptor.digest }, call);
    if (entry !== undefined) present.push(entry);
  }
  // the repositories are in order already; the sort is stable
  return present.toSorted((a, b) => (a.repository === b.repository ? compare(a.digest, b.digest) : 0));
}

const READS_AT_A_TIME = 64;

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The tags of a repository in a registry, one entry each, or the tag that the location names; of a layout, all. */
export async function listLocation(kit: Kit, location: Location, call: CallOptions = {}): Promise<ListEntry[]> {
  // for the store none of this is loaded
  const { openRemote, openSource } = await import('./open-location.ts');
  if (location.type !== 'reference') {
    const source = await openSource(kit, { ...location, reference: location.reference ?? 'latest' }, 'local', call);
    return await listTags(
      source.target,
      source.target.name,
      location.reference === undefined ? await tagsOf(source.target, call) : [location.reference],
      kit,
      call,
    );
  }
  const { reference } = location;
  const target = await openRemote(kit, reference);
  const wanted = reference.digest === undefined ? reference.tags : [reference.digest];
  const tags = wanted.length > 0 ? [...wanted] : await tagsOf(target, call);
  return await listTags(target, reference.repository, tags, kit, call, wanted.length > 0);
}

async function tagsOf(target: ReadTarget, call: CallOptions): Promise<string[]> {
  if (target.can.tags === undefined) throw new KitError('UNSUPPORTED', `${target.name} cannot list tags`);
  return (await Array.fromAsync(target.can.tags(call))).toSorted();
}

async function listTags(
  target: ReadTarget,
  repository: string,
  tags: readonly string[],
  kit: Kit,
  call: CallOptions,
  mustExist = false,
): Promise<ListEntry[]> {
  const entries: (ListEntry | undefined)[] = [];
  await runAll([...tags.entries()], kit.concurrency, call.signal, async ([index, tag], signal) => {
    const options = { ...call, signal };
    const load = async (): Promise<LoadedArtifact> => await loadArtifact(target, tag, `${target.name}:${tag}`, options);
    entries[index] = await describeArtifact(load, { repository, tags: [tag], reference: tag }, options, mustExist);
  });
  return entries.filter((entry) => entry !== undefined);
}

const OUT_OF_REACH: ReadonlySet<ErrorCode> = new Set(['NETWORK', 'UNAUTHORIZED', 'DENIED', 'TLS_FAILED']);

// signatures, images and what else shares a repository is no ModelKit: left out, unless it was asked for by name
async function describeArtifact(
  load: () => Promise<LoadedArtifact>,
  { repository, tags, reference }: { repository: string; tags: readonly string[]; reference: string },
  call: CallOptions,
  mustExist = false,
): Promise<ListEntry | undefined> {
  try {
    const artifact = await load();
    if (artifact.kitfile === undefined && !mustExist) return undefined;
    return { repository, tags, digest: artifact.descriptor.digest, ...summary(artifact) };
  } catch (error) {
    if (mustExist || !(error instanceof KitError) || OUT_OF_REACH.has(error.code)) throw error;
    if (error.code !== 'UNSUPPORTED')
      call.onEvent?.({
        type: 'warning',
        code: error.code,
        message: `${repository}:${tags.join(',')} (${reference}) is left out: ${error.message}`,
      });
    return undefined;
  }
}

function summary({ kitfile, manifest, format }: LoadedArtifact): Pick<ListEntry, 'name' | 'author' | 'size' | 'format'> {
  const size = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  return { name: kitfile?.package.name || undefined, author: kitfile?.package.authors?.[0], size, format };
}
