import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { isManifestType } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import { legacyTag } from '../../signing/legacy-tag.ts';
import { predicateTypeOf } from '../../signing/predicate-types.ts';
import { placeOf, readUnverified } from '../../signing/unverified.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { openSource } from '../artifact/open-location.ts';
import { originOf, readAttachment, signaturesIn } from './signature-source.ts';
import { requireOneReference } from '../artifact/references.ts';
import { nameWithDigest } from './verify.ts';

export const ATTACHMENTS = ['signature', 'attestation', 'sbom'] as const;
export type Attachment = (typeof ATTACHMENTS)[number];

export interface DownloadArguments {
  readonly location: Location;
  readonly what: Attachment;
  /** Attestations of this predicate type only: one of cosign's short names, or the URI. */
  readonly type?: string;
  /** Default `local-first`: the tag is looked up in the store before the registry. */
  readonly lookup?: 'local-first' | 'remote';
}

/** Something that lies beside an artifact. Nothing of it was verified. */
export interface Downloaded {
  /** Of the manifest that refers to the artifact, or of the layer under one of cosign's older tags. */
  readonly digest: Digest;
  /** Predicate type of an attestation, media type of an SBOM. */
  readonly type?: string;
  readonly content: string;
}

export interface DownloadResult {
  readonly reference: string;
  readonly digest: Digest;
  readonly found: readonly Downloaded[];
}

/** As tools attach them, most specific first; other media types with such a name are taken too. */
const SBOM_TYPE = /^(?:(?:application|text)\/(?:vnd\.)?|sbom\/)(?:spdx|cyclonedx|syft)(?:\+|$|;)/;
const SBOM_PREDICATES: ReadonlySet<string> = new Set(['spdxjson', 'cyclonedx'].map(predicateTypeOf));

/**
 * Reads signatures, attestations or SBOMs that lie beside an artifact, in the store or else in its registry, without verifying them.
 * @throws KitError REFERENCE_NOT_FOUND when there is none
 */
export async function download(kit: Kit, args: DownloadArguments, call: CallOptions = {}): Promise<DownloadResult> {
  const { location, what, lookup = 'local-first' } = args;
  requireOneReference(location, 'download');
  const type = args.type === undefined ? undefined : predicateTypeOf(args.type);
  const source = await openSource(kit, location, lookup, call);
  const subject = await source.target.resolve(source.reference, call);
  await fetchMetadata(source.target, subject, call);
  for (const target of [async () => await Promise.resolve(source.target), async () => await originOf(kit, source)]) {
    const from = await target();
    if (from === undefined) continue;
    const found = what === 'sbom' ? await findSboms(from, subject, call) : await findStatements(from, subject, what, { type, call });
    if (found.length > 0) return { reference: source.name, digest: subject.digest, found };
  }
  const of = type === undefined ? '' : ` of type ${type}`;
  throw new KitError('REFERENCE_NOT_FOUND', `${nameWithDigest(source.name, subject.digest)} has no ${what}${of}`, {
    hint: `\`kit ${MAKERS[what]} ${source.name}\` makes one; where it was copied from it may have been left behind: \`kit copy --referrers\``,
  });
}

const MAKERS = { signature: 'sign', attestation: 'attest', sbom: 'sbom --attach' } as const;

async function findStatements(
  target: ReadTarget,
  subject: Descriptor,
  what: 'signature' | 'attestation',
  { type, call }: { readonly type: string | undefined; readonly call: CallOptions },
): Promise<Downloaded[]> {
  const found: Downloaded[] = [];
  for await (const one of readUnverified(signaturesIn(target, call), subject, what === 'signature' ? 'sig' : 'att')) {
    if ('reason' in one) {
      call.onEvent?.({ type: 'warning', code: 'SIGNATURE_INVALID', message: `${placeOf(one)} is left out: ${one.reason}` });
      continue;
    }
    const { digest, statement, text } = one;
    if (type !== undefined && statement?.predicateType !== type) continue;
    found.push({ digest, content: text, ...(what === 'attestation' && statement !== undefined && { type: statement.predicateType }) });
  }
  return found;
}

/** Attached as referrers, under cosign's tag, or as the predicate of an attestation. */
export async function findSboms(target: ReadTarget, subject: Descriptor, call: CallOptions): Promise<Downloaded[]> {
  const source = signaturesIn(target, call);
  const holders: Descriptor[] = [];
  for await (const referrer of source.referrers(subject)) if (SBOM_TYPE.test(referrer.artifactType ?? '')) holders.push(referrer);
  const tag = legacyTag(subject.digest, 'sbom');
  const tagged = tag === undefined ? undefined : await source.resolve(tag);
  const found: Downloaded[] = [];
  for (const holder of tagged === undefined ? holders : [...holders, tagged]) {
    if (!isManifestType(holder.mediaType)) continue;
    const manifest = parseManifest(await readAttachment(target, holder, call), holder.digest);
    for (const layer of manifest.layers)
      found.push({ digest: holder.digest, type: layer.mediaType, content: (await readAttachment(target, layer, call)).toString('utf8') });
  }
  if (found.length > 0) return found;
  for await (const one of readUnverified(source, subject, 'att')) {
    if ('reason' in one || one.statement === undefined || !SBOM_PREDICATES.has(one.statement.predicateType)) continue;
    const { predicate, predicateType } = one.statement;
    const content = typeof predicate === 'string' ? predicate : JSON.stringify(predicate);
    found.push({ digest: one.digest, type: predicateType, content });
  }
  return found;
}
