import { setTimeout } from 'node:timers/promises';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import { type Manifest, parseManifest } from '../oci/manifest.ts';
import { isManifestType, MEDIA_TYPE } from '../oci/media-types.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import type { Target } from '../targets/types.ts';
import { pushSmall } from './attach-bundle.ts';
import { type LegacySuffix, legacyTag } from './legacy-tag.ts';

export interface LegacyLayer {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly annotations: Annotations;
}

const MAX_ATTEMPTS = 40;
const MIN_SETTLE_MS = 100;
const MAX_SETTLE_MS = 5000;

/**
 * Adds a layer to the manifest under cosign's older tag of `subject`, which holds one layer a signature. Registries cannot compare and
 * swap a tag, so whoever writes reads it again: at once, and after the time in which one who had read the tag before could still write.
 * One that is lost is added again. A writer that stands still for longer between its reading and writing can undo what others wrote.
 * A local target is rid of the manifest that is replaced; in a registry it stays, as cosign leaves it.
 * @throws KitError UNSUPPORTED for a digest without such a tag, and where something else stands under it
 */
export async function appendLegacy(
  target: Target,
  subject: Descriptor,
  suffix: LegacySuffix,
  { mediaType, bytes, annotations }: LegacyLayer,
  call: CallOptions = {},
): Promise<string> {
  const tag = legacyTag(subject.digest, suffix);
  if (tag === undefined) {
    throw new KitError('UNSUPPORTED', `${subject.digest}: the older format of cosign knows sha256 digests only`, {
      hint: 'sign with `--signature-format bundle`',
    });
  }
  const layer: Descriptor = { ...(await pushSmall(target, mediaType, bytes, call)), annotations };
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const written = await tryAppend(target, tag, layer, call);
    if (written === 'present') return tag;
    if (written !== 'lost') {
      await setTimeout(written.settleMs, undefined, { signal: call.signal });
      if (await holds(target, tag, layer, call)) {
        await forget(target, written.replaced, call);
        return tag;
      }
    }
    await setTimeout(Math.random() * 20 * Math.min(attempt, 20), undefined, { signal: call.signal });
  }
  throw new KitError(
    'REGISTRY_ERROR',
    `${target.name}:${tag} is written by others all the time: this signature was lost ${MAX_ATTEMPTS} times`,
    {
      hint: 'try again, or sign with `--signature-format bundle`, where nobody has to share a tag',
    },
  );
}

interface Written {
  /** For how long another writer could still undo it. */
  readonly settleMs: number;
  /** What stood under the tag before. */
  readonly replaced: Descriptor | undefined;
}

async function tryAppend(target: Target, tag: string, layer: Descriptor, call: CallOptions): Promise<Written | 'present' | 'lost'> {
  const before = await resolveTag(target, tag, call);
  const list = before && (await readList(target, tag, before, call));
  if (list?.layers.some((other) => isSame(other, layer)) === true) return 'present';
  const bytes = Buffer.from(JSON.stringify(await extend(target, list, layer, call)));
  const manifest = await pushSmall(target, MEDIA_TYPE.imageManifest, bytes, call);
  const started = performance.now();
  const isUnchanged = (await resolveTag(target, tag, call))?.digest === before?.digest;
  if (isUnchanged) await target.tag(manifest, tag, call);
  const settleMs = Math.min(Math.max(MIN_SETTLE_MS, 4 * (performance.now() - started)), MAX_SETTLE_MS);
  if (isUnchanged && (await holds(target, tag, layer, call))) return { settleMs, replaced: before };
  await forget(target, manifest, call);
  return 'lost';
}

/** In a registry nobody could tell that no other tag is on it. */
async function forget(target: Target, manifest: Descriptor | undefined, call: CallOptions): Promise<void> {
  if (manifest === undefined || target.can.localPath?.(manifest) === undefined) return;
  try {
    await target.can.remove?.(manifest, call);
  } catch (error) {
    // another writer was first
    if (!isKitError(error, 'REFERENCE_NOT_FOUND')) throw error;
  }
}

async function holds(target: Target, tag: string, layer: Descriptor, call: CallOptions): Promise<boolean> {
  const now = await resolveTag(target, tag, call);
  return now !== undefined && (await readList(target, tag, now, call)).layers.some((other) => isSame(other, layer));
}

function isSame(one: Descriptor, other: Descriptor): boolean {
  const entries = Object.entries(other.annotations ?? {});
  return one.digest === other.digest && entries.every(([name, value]) => one.annotations?.[name] === value);
}

/** What is there is never overwritten unless it is a list of signatures. */
async function readList(target: Target, tag: string, descriptor: Descriptor, call: CallOptions): Promise<Manifest> {
  try {
    if (!isManifestType(descriptor.mediaType)) throw new KitError('MANIFEST_INVALID', `it is a \`${descriptor.mediaType}\``);
    return parseManifest(await fetchMetadata(target, descriptor, call), descriptor.digest);
  } catch (cause) {
    if (!isKitError(cause, 'MANIFEST_INVALID', 'LIMIT_EXCEEDED')) throw cause;
    throw new KitError('UNSUPPORTED', `${target.name}:${tag} holds no list of signatures and is not overwritten: ${cause.message}`, {
      cause,
      hint: 'have the tag removed, or sign with `--signature-format bundle`',
    });
  }
}

/** An image manifest as cosign writes it: its config lists the layers. Fields that others set stay. */
async function extend(target: Target, list: Manifest | undefined, layer: Descriptor, call: CallOptions): Promise<Manifest> {
  const layers = [...(list?.layers ?? []), layer];
  const created = '0001-01-01T00:00:00Z';
  const image = {
    architecture: '',
    created,
    history: layers.map(() => ({ created })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  };
  const config = await pushSmall(target, MEDIA_TYPE.imageConfig, Buffer.from(JSON.stringify(image)), call);
  return { ...(list ?? { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest }), config, layers };
}

async function resolveTag(target: Target, tag: string, call: CallOptions): Promise<Descriptor | undefined> {
  try {
    return await target.resolve(tag, call);
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
    throw error;
  }
}
