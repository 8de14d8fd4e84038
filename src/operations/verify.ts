import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Location } from '../oci/reference.ts';
import { checkSignatures, type SignatureReport, type SignatureSource } from '../signing/check-signatures.ts';
import { readPublicKey } from '../signing/public-key.ts';
import type { SignatureRequirement } from '../signing/requirement.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import type { ReadTarget } from '../targets/types.ts';
import type { Kit } from './kit.ts';
import { openRemote, openSource, type Source } from './open-location.ts';

export interface VerifyArguments {
  readonly location: Location;
  /** PEM file with the public key. */
  readonly key: string;
  /** What must be signed along with the digest. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Default `local-first`: the tag is looked up in the store before the registry. */
  readonly lookup?: 'local-first' | 'remote';
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
 * Proves that the holder of a key signed an artifact. Transparency logs are not consulted.
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
 * @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | CONFIG_INVALID (the key) | NETWORK and so on
 */
export async function findSignatures(kit: Kit, args: VerifyArguments, call: CallOptions = {}): Promise<VerifyResult> {
  const { location, annotations = {}, lookup = 'local-first' } = args;
  requireOneReference(location);
  const key = await readPublicKey(args.key);
  const source = await openSource(kit, location, lookup, call);
  const subject = await source.target.resolve(source.reference, call);
  // the digest must stand for content that is there and sound
  await fetchMetadata(source.target, subject, call);
  const requirement: SignatureRequirement = { key, digest: subject.digest, annotations };
  const signatures = await check(source.target, subject, requirement, call);
  const registry = hasAccepted(signatures) ? undefined : await alsoRemote(kit, location, source);
  if (registry !== undefined) {
    const isNew = (one: SignatureReport) => !signatures.some(({ kind, digest, reason }) => same(one, { kind, digest, reason }));
    signatures.push(...(await check(registry, subject, requirement, call)).filter(isNew));
  }
  return { reference: source.name, digest: subject.digest, verified: hasAccepted(signatures), signatures };
}

/** @throws KitError SIGNATURE_INVALID naming each signature with why it is not accepted */
export function requireVerified({ reference, digest, verified, signatures }: VerifyResult): void {
  if (verified) return;
  const name = nameWithDigest(reference, digest);
  if (signatures.length === 0) {
    throw new KitError('SIGNATURE_INVALID', `${name}: no signatures found`, {
      hint: 'it is not signed, or its signatures were left behind when it was copied; they must lie in the same repository',
    });
  }
  const lines = signatures.map((signature) => `\n  ${describeRefusal(signature)}`);
  throw new KitError('SIGNATURE_INVALID', `${name}: no signature is accepted${lines.join('')}`, {
    hint: 'do not use it unless you know why; check that `--key` is the key of whoever signs it',
  });
}

/** `registry/repository:tag@sha256:...` */
function nameWithDigest(reference: string, digest: Digest): string {
  return reference.endsWith(`@${digest}`) ? reference : `${reference}@${digest}`;
}

export function describeSignature({ kind, digest }: SignatureReport): string {
  return `${kind === 'bundle' ? 'sigstore bundle' : 'cosign signature'} ${digest}`;
}

export function describeRefusal(signature: SignatureReport): string {
  return `not accepted: ${describeSignature(signature)} because ${signature.reason ?? 'it is not valid'}`;
}

// only one could be meant by the answer
function requireOneReference(location: Location): void {
  if (location.type !== 'reference' || location.reference.tags.length <= 1) return;
  throw new KitError('REFERENCE_INVALID', `${location.reference.repository}:${location.reference.tags.join(',')}: more than one tag`, {
    hint: 'verify them one at a time',
  });
}

/** The registry that an artifact in the store comes from. */
async function alsoRemote(kit: Kit, location: Location, { isLocal }: Source): Promise<ReadTarget | undefined> {
  if (!isLocal || location.type !== 'reference') return undefined;
  const { registry } = location.reference;
  // without a port, `localhost` marks what is only local
  return registry === undefined || registry === 'localhost' ? undefined : await openRemote(kit, location.reference);
}

async function check(
  target: ReadTarget,
  subject: Descriptor,
  requirement: SignatureRequirement,
  call: CallOptions,
): Promise<SignatureReport[]> {
  const reports: SignatureReport[] = [];
  try {
    for await (const report of checkSignatures(signaturesIn(target, call), subject, requirement)) reports.push(report);
  } catch (error) {
    // one that holds is enough: what others attach beyond the limit cannot take it away
    if (!isKitError(error, 'LIMIT_EXCEEDED') || !hasAccepted(reports)) throw error;
    call.onEvent?.({ type: 'warning', code: error.code, message: error.message });
  }
  return reports;
}

function signaturesIn(target: ReadTarget, call: CallOptions): SignatureSource {
  return {
    async *referrers(subject) {
      if (target.can.referrers !== undefined) yield* target.can.referrers(subject, call);
    },
    async resolve(tag) {
      try {
        return await target.resolve(tag, call);
      } catch (error) {
        if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
        throw error;
      }
    },
    read: async (blob) => await fetchMetadata(target, blob, call),
  };
}

function hasAccepted(reports: readonly SignatureReport[]): boolean {
  return reports.some(({ accepted }) => accepted);
}

function same(one: SignatureReport, other: Pick<SignatureReport, 'kind' | 'digest'> & { readonly reason: string | undefined }): boolean {
  return one.kind === other.kind && one.digest === other.digest && one.reason === other.reason;
}
