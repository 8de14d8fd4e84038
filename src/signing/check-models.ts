import type { Descriptor } from '../oci/descriptor.ts';
import { type Candidate, findCandidates, judge, type SignatureSource } from './candidates.ts';
import { claimsModel, openModel } from './oms-bundle.ts';
import { isIgnored, type ModelFiles, requireModel } from './oms-statement.ts';
import type { Signatory, Verifier } from './verifier.ts';

/** What became of one model signature that lies beside an artifact. */
export interface ModelReport extends Pick<Candidate, 'kind' | 'digest'> {
  readonly accepted: boolean;
  /** Who signed, if it is accepted. */
  readonly signer?: Signatory;
  /** How many files it signs, if it is accepted. */
  readonly fileCount?: number;
  /** Why it is not accepted. */
  readonly reason?: string;
  /** The sigstore bundle, if it is accepted. */
  readonly bundle?: Uint8Array;
}

export interface ModelRequirement {
  readonly verifier: Verifier;
  /** The files of the artifact: asked for once the first signature holds. Undefined: they are not compared. */
  readonly files: (() => Promise<ModelFiles>) | undefined;
  /** True: files that were not signed are no reason to refuse. */
  readonly ignoreUnsigned?: boolean;
}

/** Every OpenSSF model signature that refers to the manifest `subject`. Signatures and attestations of other kinds are passed over. */
export async function* checkModels(
  source: SignatureSource,
  subject: Descriptor,
  requirement: ModelRequirement,
): AsyncGenerator<ModelReport, void, undefined> {
  for await (const candidate of findModels(source, subject)) {
    const { kind, digest, bytes } = candidate;
    const verdict = await judge(async () => await requireCandidate(bytes, requirement));
    if ('reason' in verdict) yield { kind, digest, accepted: false, reason: verdict.reason };
    else yield { kind, digest, accepted: true, ...verdict.value, bundle: bytes };
  }
}

/** What claims to be one. What cannot be read claims nothing. */
export async function* findModels(source: SignatureSource, subject: Descriptor): AsyncGenerator<Candidate, void, undefined> {
  for await (const candidate of findCandidates(source, subject, 'att')) {
    if ('reason' in candidate || candidate.kind !== 'bundle') continue;
    const claim = await judge(async () => await Promise.resolve(claimsModel(candidate.bytes)));
    if ('value' in claim && claim.value) yield candidate;
  }
}

async function requireCandidate(
  bundle: Uint8Array,
  { verifier, files, ignoreUnsigned = false }: ModelRequirement,
): Promise<{ signer: Signatory; fileCount: number }> {
  const signed = await openModel(bundle, verifier);
  if (files !== undefined) {
    const actual = new Map([...(await files())].filter(([path]) => !isIgnored(path, signed.ignored)));
    requireModel(signed.files, actual, { ignoreUnsigned });
  }
  return { signer: signed.signer, fileCount: signed.files.size };
}
