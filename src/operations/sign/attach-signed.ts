import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { appendLegacy, type LegacyLayer } from '../../signing/append-legacy.ts';
import { attachBundle } from '../../signing/attach-bundle.ts';
import { legacyProofs } from '../../signing/legacy-material.ts';
import { legacyTag } from '../../signing/legacy-tag.ts';
import type { SignedBytes } from '../../signing/signer.ts';
import type { Subject } from '../artifact/open-subject.ts';

/** `bundle`: a sigstore bundle that refers to the manifest. `legacy`: cosign's older tags, which some verifiers know alone. */
export type SignatureFormat = 'both' | 'bundle' | 'legacy';

/** What was written about one manifest. */
export interface Attached {
  /** Of the manifest that was signed. */
  readonly digest: Digest;
  /** Of the manifest that refers to it and holds the bundle. */
  readonly referrer?: Digest;
  /** Cosign's older tag that was added to. */
  readonly tag?: string;
}

export interface SignedContents {
  readonly bundle: Buffer;
  readonly predicateType: string;
  readonly created: string;
  readonly suffix: 'sig' | 'att';
  /** Undefined where the older format was not asked for. */
  readonly legacy: LegacyLayer | undefined;
}

/** True when the older format is asked for and there is a tag for the digest. @throws KitError UNSUPPORTED when there is none and it alone is asked for */
export function wantsLegacy(format: SignatureFormat, digest: Digest): boolean {
  if (format === 'bundle') return false;
  if (legacyTag(digest, 'sig') !== undefined) return true;
  if (format === 'both') return false;
  throw new KitError('UNSUPPORTED', `${digest}: the older format of cosign knows sha256 digests only`, {
    hint: 'sign with `--signature-format bundle`',
  });
}

/**
 * The annotations with which the older format carries what proves a signature. Undefined, with a warning, where it has no place for that
 * and the bundle is written as well. @throws KitError UNSUPPORTED where the older format alone is asked for
 */
export function legacyProofsFor(signed: SignedBytes, format: SignatureFormat, call: CallOptions): Annotations | undefined {
  const proofs = legacyProofs(signed);
  if (proofs !== undefined) return proofs;
  const why = "the older format of cosign has no place for the proof of a log with Rekor's second API";
  if (format === 'legacy') throw new KitError('UNSUPPORTED', why, { hint: 'sign with `--signature-format bundle`' });
  call.onEvent?.({ type: 'warning', code: 'LEGACY_LEFT_OUT', message: `${why}: only the sigstore bundle is written` });
  return undefined;
}

/** Puts a signed statement beside its subject, in the formats that are asked for. */
export async function attachSigned(
  { target, descriptor }: Pick<Subject, 'target' | 'descriptor'>,
  { bundle, predicateType, created, suffix, legacy }: SignedContents,
  format: SignatureFormat,
  call: CallOptions,
): Promise<Attached> {
  await using _lease = await target.can.lease?.(call);
  const { digest } = descriptor;
  const referrer =
    format === 'legacy' ? undefined : (await attachBundle(target, descriptor, { bytes: bundle, predicateType, created }, call)).digest;
  const tag =
    legacy &&
    (await appendLegacy(target, descriptor, suffix, legacy, call).catch((error: unknown) => {
      throw referrer === undefined ? error : withDone(error);
    }));
  return { digest, ...(referrer !== undefined && { referrer }), ...(tag !== undefined && { tag }) };
}

/** One of two formats is there already. */
function withDone(error: unknown): unknown {
  if (!isKitError(error)) return error;
  const hint = `the sigstore bundle is in place, the older format is not${error.hint === undefined ? '' : `; ${error.hint}`}`;
  return new KitError(error.code, error.message, { cause: error, hint });
}
