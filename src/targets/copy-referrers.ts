import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrers-tag.ts';
import { type CopyPlan, MAX_MANIFESTS, type PlannedTag } from './copy-plan.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import { runAll } from './run-all.ts';
import type { ReadTarget } from './types.ts';

/** A signature on an SBOM on a model is two: what goes far deeper was made to keep us busy. */
const MAX_DEPTH = 16;
const CONCURRENCY = 5;
/** Tags under which cosign keeps what belongs to a digest where it makes no referrers: signatures, attestations, SBOMs. */
const COSIGN_SUFFIXES = ['.sig', '.att', '.sbom'] as const;

interface Belongings {
  readonly referrers: readonly Descriptor[];
  readonly tagged: readonly PlannedTag[];
}

/**
 * Adds what belongs to the manifests of the plan, and to what is added: manifests whose `subject` they are, by whatever way the source
 * lists them, and what stands under cosign's tags for their digests. Of what a source merely lists, only that counts which says so
 * itself. @throws KitError LIMIT_EXCEEDED, or what the source throws
 */
export async function addReferrers(plan: CopyPlan, options: CallOptions = {}): Promise<void> {
  const asked = new Set<Digest>();
  for (let depth = 0; ; depth++) {
    const subjects = [...plan.manifests.values()].map(({ descriptor }) => descriptor).filter(({ digest }) => !asked.has(digest));
    if (subjects.length === 0) return;
    if (depth > MAX_DEPTH) throw new KitError('LIMIT_EXCEEDED', `${plan.src.name}: referrers of referrers more than ${MAX_DEPTH} deep`);
    const found = new Map<Digest, Belongings>();
    await runAll(subjects, CONCURRENCY, options.signal, async (subject, signal) => {
      asked.add(subject.digest);
      found.set(subject.digest, await belongingsOf(plan.src, subject, { ...options, signal }));
    });
    // in order, so that the same source gives the same plan
    for (const subject of subjects) {
      const { referrers = [], tagged = [] } = found.get(subject.digest) ?? {};
      for (const descriptor of referrers) {
        if (!(await isReferrer(plan, descriptor, subject.digest, options))) continue;
        await plan.add(descriptor, options);
        plan.referrers.set(descriptor.digest, { descriptor, subject });
      }
      for (const { descriptor, tag } of tagged) {
        await plan.add(descriptor, options);
        plan.tags.push({ descriptor, tag });
      }
    }
  }
}

async function belongingsOf(src: ReadTarget, subject: Descriptor, options: CallOptions): Promise<Belongings> {
  const referrers: Descriptor[] = [];
  for await (const { mediaType, digest, size } of src.can.referrers?.(subject, options) ?? []) {
    if (referrers.length >= MAX_MANIFESTS) throw new KitError('LIMIT_EXCEEDED', `${src.name}@${subject.digest}: too many referrers`);
    // annotations of a list are those of the manifest, which brings them along
    referrers.push({ mediaType, digest, size });
  }
  const tagged: PlannedTag[] = [];
  for (const suffix of COSIGN_SUFFIXES) {
    const tag = `${referrersTag(subject.digest)}${suffix}`;
    const descriptor = await resolveIfThere(src, tag, options);
    if (descriptor !== undefined) tagged.push({ descriptor, tag });
  }
  return { referrers: referrers.toSorted((a, b) => (a.digest < b.digest ? -1 : 1)), tagged };
}

async function resolveIfThere(src: ReadTarget, tag: string, options: CallOptions): Promise<Descriptor | undefined> {
  try {
    return await src.resolve(tag, options);
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function isReferrer(plan: CopyPlan, listed: Descriptor, subject: Digest, options: CallOptions): Promise<boolean> {
  if (plan.manifests.has(listed.digest)) return false;
  const why = isManifestLike(listed.mediaType)
    ? await contradiction(plan.src, listed, subject, options)
    : `it is a \`${listed.mediaType}\``;
  if (why === undefined) return true;
  const message = `${plan.src.name} lists ${listed.digest} as a referrer of ${subject}, but ${why}: it is not copied`;
  options.onEvent?.({ type: 'warning', code: 'REFERRER_IGNORED', message });
  return false;
}

/** Why what is listed is no referrer; undefined if it is one. A list is not kept in step with what was deleted. */
async function contradiction(src: ReadTarget, listed: Descriptor, subject: Digest, options: CallOptions): Promise<string | undefined> {
  try {
    const bytes = await fetchMetadata(src, listed, { signal: options.signal });
    const parse = isIndexType(listed.mediaType) ? parseIndex : parseManifest;
    return parse(bytes, listed.digest).subject?.digest === subject ? undefined : 'its content does not say so';
  } catch (error) {
    if (isKitError(error, 'BLOB_NOT_FOUND')) return 'it is not there';
    throw error;
  }
}
