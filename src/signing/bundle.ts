import * as z from 'zod';
import { KitError } from '../errors.ts';
import { envelopeSchema, openEnvelope } from './dsse.ts';
import { parseJson } from './parse-json.ts';
import { notAccepted, requireAnnotations, type SignatureRequirement } from './requirement.ts';
import { IN_TOTO_TYPE, parseStatement, SIGNATURE_PREDICATE_TYPE, type StatementSubject, subjectsWith } from './statement.ts';

/** Both spellings: `application/vnd.dev.sigstore.bundle.v0.3+json` and, older, `application/vnd.dev.sigstore.bundle+json;version=0.2`. */
export const BUNDLE_TYPE_PREFIX = 'application/vnd.dev.sigstore.bundle';
/** The versions differ in what they prove about logs, not in how a key signs. */
const BUNDLE_TYPES: ReadonlySet<string> = new Set(
  ['0.1', '0.2', '0.3'].flatMap((version) => [`${BUNDLE_TYPE_PREFIX}.v${version}+json`, `${BUNDLE_TYPE_PREFIX}+json;version=${version}`]),
);

/** sigstore_bundle.proto as JSON, the parts that a signature by key has. */
const bundleSchema = z.looseObject({
  mediaType: z.string(),
  verificationMaterial: z.looseObject({
    publicKey: z.looseObject({}).nullish(),
    certificate: z.unknown().optional(),
    x509CertificateChain: z.unknown().optional(),
  }),
  dsseEnvelope: envelopeSchema.nullish(),
  messageSignature: z.unknown().optional(),
});

/**
 * Accepts a sigstore bundle that is a cosign signature meeting `requirement`. Its transparency log entries are not looked at.
 * @throws KitError SIGNATURE_INVALID whose message says why it is not accepted
 */
export function requireBundle(bytes: Uint8Array, requirement: SignatureRequirement): void {
  const bundle = parseJson(bundleSchema, bytes, 'the bundle');
  if (!BUNDLE_TYPES.has(bundle.mediaType)) throw notAccepted(`the bundle version \`${bundle.mediaType}\` is unknown`);
  const { publicKey, certificate, x509CertificateChain } = bundle.verificationMaterial;
  if ((certificate ?? x509CertificateChain ?? undefined) !== undefined) {
    throw notAccepted('it was signed with a certificate, and a key is required');
  }
  if (publicKey === undefined || publicKey === null) throw notAccepted('the bundle does not say that it was signed with a key');
  const { dsseEnvelope } = bundle;
  if (dsseEnvelope === undefined || dsseEnvelope === null) {
    throw notAccepted(
      bundle.messageSignature === undefined
        ? 'the bundle holds no signature'
        : 'it is a signature over a file (messageSignature), not a signed statement about a manifest',
    );
  }
  const payload = openEnvelope(dsseEnvelope, requirement);
  if (dsseEnvelope.payloadType !== IN_TOTO_TYPE)
    throw notAccepted(`its payload type \`${dsseEnvelope.payloadType}\` is not ${IN_TOTO_TYPE}`);
  const statement = parseStatement(payload);
  if (statement.predicateType !== SIGNATURE_PREDICATE_TYPE) {
    throw notAccepted(`it is an attestation (${statement.predicateType}), not a signature`);
  }
  requireOne(subjectsWith(statement, requirement.digest), requirement);
}

/** One of the subjects must have all the annotations. */
function requireOne(subjects: readonly StatementSubject[], requirement: SignatureRequirement): void {
  let refusal: KitError | undefined;
  for (const { annotations } of subjects) {
    try {
      requireAnnotations(annotations, requirement);
      return;
    } catch (error) {
      if (!(error instanceof KitError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal ?? notAccepted('it signs nothing');
}
