import { open } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { MAX_BUNDLE_BYTES } from '../../signing/candidates.ts';
import { checkSignature, checkSignatures, type SignatureReport } from '../../signing/check-signatures.ts';
import type { SignatureRequirement } from '../../signing/requirement.ts';
import type { Signatory, Verifier } from '../../signing/verifier.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Kit } from '../kit.ts';
import { openSource, type Source } from '../artifact/open-location.ts';
import { requireOneReference } from '../artifact/references.ts';
import { hasAccepted, reportsOn } from './signature-reports.ts';

export interface VerifyArguments {
  readonly location: Location;
  /** Who must have signed: see `openVerifier`. */
  readonly verifier: Verifier;
  /** What must be signed along with the digest. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Default `local-first`: the tag is looked up in the store before the registry. */
  readonly lookup?: 'local-first' | 'remote';
  /** File with the one sigstore bundle to look at, instead of what lies beside the artifact. */
  readonly bundle?: string;
}

export interface VerifyResult {
  readonly reference: string;
  /** Of the manifest that the signatures are about. */
  readonly digest: Digest;
  /** One signature at least is accepted. */
  readonly verified: boolean;
  readonly signatures: readonly SignatureReport[];
}

/**
 * Proves by whom an artifact was signed.
 * @throws KitError SIGNATURE_INVALID when no signature is accepted, and what `findSignatures` throws
 */
export async function verify(kit: Kit, args: VerifyArguments, call: CallOptions = {}): Promise<VerifyResult> {
  const result = await findSignatures(kit, args, call);
  requireVerified(result);
  return result;
}

/**
 * Checks every signature of an artifact and reports on each: look at `verified`, or use `verify`. What lies in the store is looked up
 * there first; `pull` leaves signatures in the registry, so that is asked when the store has none that is accepted.
 * @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | NETWORK and so on
 */
export async function findSignatures(kit: Kit, args: VerifyArguments, call: CallOptions = {}): Promise<VerifyResult> {
  const { location, verifier, annotations = {}, lookup = 'local-first', bundle } = args;
  requireOneReference(location, 'verify');
  const source = await openSource(kit, location, lookup, call);
  const subject = await source.target.resolve(source.reference, call);
  if (bundle === undefined) return await findSignaturesOf(kit, source, subject, { verifier, annotations }, call);
  await fetchMetadata(source.target, subject, call);
  const bytes = await readBundleFile(bundle);
  const candidate = { kind: 'bundle', digest: digestOf(bytes), bytes, annotations: {} } as const;
  const report = await checkSignature(candidate, { verifier, annotations, digest: subject.digest });
  return { reference: source.name, digest: subject.digest, verified: report.accepted, signatures: [report] };
}

/** The same for the manifest `subject` of an open source. */
export async function findSignaturesOf(
  kit: Kit,
  source: Source,
  subject: Descriptor,
  { verifier, annotations }: Omit<SignatureRequirement, 'digest'>,
  call: CallOptions,
): Promise<VerifyResult> {
  // the digest must stand for content that is there and sound
  await fetchMetadata(source.target, subject, call);
  const requirement: SignatureRequirement = { verifier, digest: subject.digest, annotations };
  const signatures = await reportsOn(kit, source, (found) => checkSignatures(found, subject, requirement), call);
  return { reference: source.name, digest: subject.digest, verified: hasAccepted(signatures), signatures };
}

/** One of the results has to be verified. @throws KitError SIGNATURE_INVALID naming each signature with why it is not accepted */
export function requireVerified(...results: readonly VerifyResult[]): void {
  if (results.some(({ verified }) => verified)) return;
  const lines = results.map(({ reference, digest, signatures }) => {
    const refusals = signatures.map((signature) => `\n  ${describeRefusal(signature)}`).join('');
    return `${nameWithDigest(reference, digest)}: ${signatures.length === 0 ? 'no signatures found' : `no signature is accepted${refusals}`}`;
  });
  throw new KitError('SIGNATURE_INVALID', lines.join('\n'), {
    hint: results.every(({ signatures }) => signatures.length === 0)
      ? 'it is not signed, or its signatures were left behind when it was copied; they must lie in the same repository'
      : 'do not use it unless you know why; check that the key or identity is that of whoever signs it',
  });
}

/** `registry/repository:tag@sha256:...` */
export function nameWithDigest(reference: string, digest: Digest): string {
  return reference.endsWith(digest) ? reference : `${reference}@${digest}`;
}

export function describeSignature({ kind, digest }: Pick<SignatureReport, 'kind' | 'digest'>): string {
  return `${kind === 'bundle' ? 'sigstore bundle' : 'cosign signature'} ${digest}`;
}

/** Who, and what proves when: `dev@example.com (https://accounts.example.com), 2026-11-21T08:00:00.000Z, https://rekor.example.com entry 17` */
export function describeSignatory(signer: Signatory): string {
  const who = signer.type === 'key' ? `key ${signer.name}` : `${signer.identity} (${signer.issuer})`;
  const times = (signer.times ?? []).map(({ time }) => time);
  const logs = (signer.logs ?? []).map(({ url, index }) => `${url} entry ${index}`);
  return [who, ...times, ...logs].join(', ');
}

export function describeRefusal(signature: Pick<SignatureReport, 'kind' | 'digest' | 'reason'>): string {
  return `not accepted: ${describeSignature(signature)} because ${signature.reason ?? 'it is not valid'}`;
}

async function readBundleFile(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size > MAX_BUNDLE_BYTES)
      throw new KitError('LIMIT_EXCEEDED', `${path}: ${size} bytes, the limit for a bundle is ${MAX_BUNDLE_BYTES}`);
    return await file.readFile();
  } catch (error) {
    throw asPathError(error, path);
  }
}
