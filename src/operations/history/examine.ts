import { CODES, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { describeIndex, describeManifest } from '../../formats/describe.ts';
import { formatOf } from '../../formats/registry.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { type Index, type Manifest, parseIndex, parseManifest } from '../../oci/manifest.ts';
import { ANNOTATION, isIndexType } from '../../oci/media-types.ts';
import { formatLocation } from '../../oci/reference.ts';
import { referrersTag } from '../../oci/referrers-tag.ts';
import type { Verifier } from '../../signing/verifier.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { runAll } from '../../targets/run-all.ts';
import type { TagMove } from './move.ts';
import type { RepositoryPlace } from './place.ts';
import { kindOfReferrer, listReferrers, type ReferrerKind } from './referrers.ts';
import type { Kit } from '../kit.ts';
import { findSignaturesOf } from '../sign/verify.ts';

/** What lies beside a manifest, by what it says of itself, and what a verifier said. */
export type Attachments = Readonly<Record<ReferrerKind, number>> & {
  /** Undefined: nobody has verified anything. */
  readonly verified?: boolean;
  readonly signers?: readonly string[];
  /** Why signatures are not accepted. */
  readonly reasons?: readonly string[];
};

/** An entry before its content was looked at. */
export interface Outline {
  readonly digest: Digest;
  /** That are on it now; empty in the history of one tag. */
  readonly tags: readonly string[];
  /** How the tag came here, in the history of one tag. */
  readonly move?: TagMove | undefined;
}

export interface Examined {
  readonly outline: Outline;
  /** Undefined where it cannot be read. */
  readonly content: Manifest | Index | undefined;
  readonly kitfile: Kitfile | undefined;
  readonly description: string | undefined;
  readonly created: string | undefined;
  readonly attachments: Attachments | undefined;
  readonly problem: string | undefined;
}

export interface ExamineOptions {
  /** Tags of cosign that the repository has. */
  readonly attachments: ReadonlySet<string>;
  /** Says who must have signed: without it signatures are only counted. */
  readonly verifier: Verifier | undefined;
  readonly call: CallOptions;
}

/** Looks at the manifest and config of each, several at a time. */
export async function examineAll(
  kit: Kit,
  place: RepositoryPlace,
  outlines: readonly Outline[],
  options: ExamineOptions,
): Promise<Examined[]> {
  // a tag may have been on a manifest several times
  const digests = [...new Set(outlines.map(({ digest }) => digest))];
  const found = new Map<Digest, Omit<Examined, 'outline'>>();
  await runAll(digests, kit.concurrency, options.call.signal, async (digest, signal) => {
    const call = { ...options.call, signal };
    found.set(digest, await examine(kit, place, digest, { ...options, call }).catch(asProblem));
  });
  return outlines.flatMap((outline) => {
    const examined = found.get(outline.digest);
    return examined === undefined ? [] : [{ outline, ...examined }];
  });
}

/** One that was removed or is damaged does not hide the others. */
function asProblem(error: unknown): Omit<Examined, 'outline'> {
  if (!(error instanceof KitError)) throw error;
  const isContent = CODES[error.code].exit === 'integrity' || error.code === 'REFERENCE_NOT_FOUND' || error.code === 'UNSUPPORTED';
  if (!isContent) throw error;
  const nothing = { content: undefined, kitfile: undefined, description: undefined, created: undefined, attachments: undefined };
  return { ...nothing, problem: error.message };
}

async function examine(kit: Kit, place: RepositoryPlace, digest: Digest, options: ExamineOptions): Promise<Omit<Examined, 'outline'>> {
  const { target } = place;
  const { call } = options;
  const descriptor = await target.resolve(digest, call);
  const bytes = await fetchMetadata(target, descriptor, call);
  const attachments = await attachmentsOf(kit, place, descriptor, options);
  const found = { attachments, problem: undefined };
  if (isIndexType(descriptor.mediaType)) {
    const content = parseIndex(bytes, digest);
    return { ...found, content, kitfile: undefined, description: describeIndex(content), created: createdOf(content, undefined) };
  }
  const content = parseManifest(bytes, digest);
  const config = await fetchMetadata(target, content.config, call);
  const format = formatOf(content);
  const description = describeManifest(content, format.name, config);
  return { ...found, content, kitfile: readKitfile(content, config, digest), description, created: createdOf(content, config) };
}

function readKitfile(manifest: Manifest, config: Buffer, name: string): Kitfile | undefined {
  try {
    return formatOf(manifest).read(manifest, config, name).kitfile;
  } catch (error) {
    if (error instanceof KitError && error.code === 'UNSUPPORTED') return undefined;
    throw error;
  }
}

/** Of the manifest, else of the config of an image, a Docker model or a ModelPack. */
function createdOf({ annotations }: Manifest | Index, config: Buffer | undefined): string | undefined {
  const inConfig = (): unknown[] => {
    try {
      const { created, descriptor } = JSON.parse(config?.toString('utf8') ?? '{}') as {
        created?: unknown;
        descriptor?: { createdAt?: unknown };
      };
      return [created, descriptor?.createdAt];
    } catch {
      return [];
    }
  };
  return [annotations?.[ANNOTATION.created], ...inConfig()].find(isTime);
}

async function attachmentsOf(
  kit: Kit,
  place: RepositoryPlace,
  subject: Descriptor,
  { attachments, verifier, call }: ExamineOptions,
): Promise<Attachments> {
  const counts: Record<ReferrerKind, number> = { signature: 0, attestation: 0, sbom: 0, promotion: 0, referrer: 0 };
  for (const referrer of await listReferrers(place.target, subject, call)) counts[kindOfReferrer(referrer)] += 1;
  // mostly the same once more, in cosign's older format
  const older = referrersTag(subject.digest);
  for (const [kind, suffix] of [
    ['signature', 'sig'],
    ['attestation', 'att'],
    ['sbom', 'sbom'],
  ] as const)
    if (counts[kind] === 0 && attachments.has(`${older}.${suffix}`)) counts[kind] = 1;
  if (verifier === undefined) return counts;
  const source = {
    target: place.target,
    reference: subject.digest,
    name: formatLocation(place.at(subject.digest)),
    isLocal: place.isLocal,
  };
  const { verified, signatures } = await findSignaturesOf(kit, source, subject, { verifier, annotations: {} }, call);
  const signers = [
    ...new Set(signatures.flatMap(({ signer }) => (signer === undefined ? [] : [signer.type === 'key' ? signer.name : signer.identity]))),
  ];
  return { ...counts, verified, signers, reasons: signatures.flatMap(({ reason }) => reason ?? []) };
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value));
}
