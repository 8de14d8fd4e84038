import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { BUNDLE_TYPE_PREFIX } from '../../signing/bundle.ts';
import { predicateTypeOf } from '../../signing/predicate-types.ts';
import { IN_TOTO_TYPE, SIGNATURE_PREDICATE_TYPE } from '../../signing/statement.ts';
import type { ReadTarget } from '../../targets/types.ts';
import { predicateTypeIn, PROMOTION_TYPE } from './record.ts';

/** What something is that refers to an artifact, by what it says of itself. */
export type ReferrerKind = 'signature' | 'attestation' | 'sbom' | 'promotion' | 'referrer';

const SBOM_TYPE = /^(?:application|text)\/(?:vnd\.)?(?:spdx|cyclonedx|syft)(?:\+|$|;)/;
const SIGNATURE_TYPE = /^application\/vnd\.(?:cncf\.notary\.signature|dev\.cosign\.artifact\.sig\.v1\+json)$/;
const SBOM_PREDICATES: ReadonlySet<string> = new Set(['spdxjson', 'cyclonedx'].map(predicateTypeOf));

/** By the descriptor of a list: no content is read, and nothing is verified. */
export function kindOfReferrer({ artifactType = '', annotations }: Descriptor): ReferrerKind {
  if (SBOM_TYPE.test(artifactType)) return 'sbom';
  if (SIGNATURE_TYPE.test(artifactType)) return 'signature';
  const isBundle = artifactType.startsWith(BUNDLE_TYPE_PREFIX);
  if (!isBundle && artifactType !== IN_TOTO_TYPE) return 'referrer';
  const predicate = predicateTypeIn(annotations);
  if (predicate === PROMOTION_TYPE) return 'promotion';
  if (predicate !== undefined && SBOM_PREDICATES.has(predicate)) return 'sbom';
  // cosign has signed without saying of what type in the annotations
  return isBundle && (predicate === undefined || predicate === SIGNATURE_PREDICATE_TYPE) ? 'signature' : 'attestation';
}

const MAX_REFERRERS = 1000;

/** What refers to a manifest, in a steady order. @throws KitError LIMIT_EXCEEDED */
export async function listReferrers(target: ReadTarget, subject: Descriptor, call: CallOptions): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for await (const referrer of target.can.referrers?.(subject, call) ?? []) {
    if (found.length === MAX_REFERRERS)
      throw new KitError('LIMIT_EXCEEDED', `${target.name}@${subject.digest} has more than ${MAX_REFERRERS} referrers`);
    found.push(referrer);
  }
  return found.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}
