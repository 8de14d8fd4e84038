import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseIndex } from '../../oci/manifest.ts';
import type { Location } from '../../oci/reference.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { baseReference, resolveChain } from './base-modelkit.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from './load-artifact.ts';
import { openSource, type Source } from './open-location.ts';

/**
 * Decides whether an artifact may be used: called with it, and with each base ModelKit below it, before a byte of its content is
 * written. What is used afterwards is `manifest`, whatever its tag says by then. @throws KitError when it may not
 */
export type Admit = (source: Source, manifest: Descriptor, call: CallOptions) => Promise<void>;

/**
 * The index that the artifact of a source was chosen from, where it lists it: it names its digest, so a signature of it covers the
 * artifact. @throws KitError REFERENCE_NOT_FOUND | MANIFEST_INVALID
 */
export async function coveringIndex(
  { index }: Source,
  artifact: Descriptor,
  call: CallOptions,
): Promise<{ readonly source: Source; readonly manifest: Descriptor } | undefined> {
  if (index === undefined) return undefined;
  const source = await index.open();
  const manifest = await source.target.resolve(source.reference, call);
  const { manifests } = parseIndex(await fetchMetadata(source.target, manifest, call), source.name);
  return manifests.some(({ digest }) => digest === artifact.digest) ? { source, manifest } : undefined;
}

/** Asks for the artifact of a source; returns its digest, which is to be used from here on. */
export async function admitted(source: Source, admit: Admit, call: CallOptions): Promise<Digest> {
  const manifest = await source.target.resolve(source.reference, call);
  await admit(source, manifest, call);
  return manifest.digest;
}

/** Asks for an artifact in a registry and for every base ModelKit below it, so that all is decided before the first is fetched. */
export async function admitChain(kit: Kit, location: Location, admit: Admit, call: CallOptions): Promise<void> {
  const source = await openSource(kit, location, 'remote', call);
  const digest = await admitted(source, admit, call);
  // an index, an image: what cannot be read as a model names no base
  const artifact = await loadArtifact(source.target, digest, source.name, call).catch((error: unknown) => {
    if (isKitError(error, 'UNSUPPORTED')) return undefined;
    throw error;
  });
  for (const base of await resolveChain(kit, artifact && baseReference(artifact), source.name, 'local-first', call))
    await admit(base.source, base.artifact.descriptor, call);
}
