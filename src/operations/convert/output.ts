import { bytesSource } from '../../blob-source.ts';
import type { CallOptions } from '../../events.ts';
import type { AssembledArtifact, PackedLayer } from '../../formats/types.ts';
import { describe, type Descriptor } from '../../oci/descriptor.ts';
import { MEDIA_TYPE } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import { copyPlanned } from '../../targets/copy.ts';
import { CopyPlan } from '../../targets/copy-plan.ts';
import { verifiedReads } from '../../targets/copy-verified.ts';
import type { ReadTarget, Target } from '../../targets/types.ts';
import type { Content, Losses } from './content.ts';
import { mountsFor } from '../transfer/copy.ts';
import type { Kit } from '../kit.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';
import type { Source } from '../artifact/open-location.ts';
import { requireManifestSize, save } from '../pack/pack.ts';

/** One artifact on its way into another format. */
export interface Conversion {
  readonly kit: Kit;
  readonly from: Source;
  readonly source: Location;
  readonly destination: Location;
  readonly toRemote: boolean;
  readonly artifact: LoadedArtifact;
  readonly content: Content;
  readonly losses: Losses;
  readonly call: CallOptions;
}

/** A layer of the new artifact, and the one that it was. */
export interface NewLayer extends PackedLayer {
  readonly reused: Descriptor | undefined;
}

/** What was written: its manifest or index, which has no tag yet. */
export interface Written {
  readonly manifest: Descriptor;
  readonly layers: readonly NewLayer[];
}

/** Blobs that are taken as they are, and where from. */
export interface Reuse {
  readonly target: ReadTarget;
  readonly location: Location;
  readonly isLocal: boolean;
  readonly blobs: readonly Descriptor[];
  readonly label?: (blob: Descriptor) => string;
}

/** Blobs that stay as they are: found at the destination, mounted there, or copied. */
export async function bringReused(to: Target, { kit, destination, toRemote, call }: Conversion, reuse: Reuse): Promise<void> {
  const { target, location, isLocal, blobs, label } = reuse;
  // a registry is to hash what it gets, and is not trusted to
  const plan = new CopyPlan(toRemote ? verifiedReads(target) : target);
  for (const blob of blobs) plan.blobs.set(blob.digest, blob);
  await copyPlanned(plan, to, [], {
    ...call,
    concurrency: kit.concurrency,
    action: toRemote ? 'push' : 'pull',
    label,
    mountFrom: toRemote ? mountsFor(kit, location, destination, !isLocal) : undefined,
  });
}

/** Layers of the source that stay as they are. */
export async function bringLayers(to: Target, conversion: Conversion, layers: readonly NewLayer[]): Promise<void> {
  const { from, source } = conversion;
  const names = new Map(layers.map(({ descriptor, path }) => [descriptor.digest, path]));
  await bringReused(to, conversion, {
    target: from.target,
    location: source,
    isLocal: from.isLocal,
    blobs: layers.flatMap(({ reused }) => reused ?? []),
    label: ({ digest }) => names.get(digest) ?? digest,
  });
}

/** Puts config and manifest. @throws KitError LIMIT_EXCEEDED */
export async function putArtifact(to: Target, made: AssembledArtifact, layers: number, call: CallOptions): Promise<Descriptor> {
  requireManifestSize(made.manifest, layers);
  for (const blob of [made.config, ...made.extra]) await save(to, blob, call);
  return await putManifest(to, describe(MEDIA_TYPE.imageManifest, made.manifest), made.manifest, call);
}

/** Puts it even where it exists, so that it becomes part of the repository. */
export async function putManifest(to: Target, descriptor: Descriptor, bytes: Uint8Array, call: CallOptions): Promise<Descriptor> {
  await to.push(descriptor, bytesSource(bytes), call);
  return descriptor;
}
