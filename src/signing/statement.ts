import * as z from 'zod';
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { KitError } from '../errors.ts';
import { parseJson } from './parse-json.ts';
import { type AttestationRequirement, notAccepted, requireAnnotations, type SignatureRequirement } from './requirement.ts';

/** Payload type of a DSSE envelope that holds an in-toto statement. */
export const IN_TOTO_TYPE = 'application/vnd.in-toto+json';
/** What cosign writes for a plain signature. Every other predicate type is an attestation. */
export const SIGNATURE_PREDICATE_TYPE = 'https://sigstore.dev/cosign/sign/v1';

const subjectSchema = z.looseObject({
  digest: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.unknown()).nullish(),
});
const statementSchema = z.looseObject({
  _type: z.enum(['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']),
  subject: z.array(subjectSchema).min(1),
  predicateType: z.string().min(1),
  predicate: z.unknown().optional(),
});

export type Statement = z.infer<typeof statementSchema>;
type StatementSubject = z.infer<typeof subjectSchema>;

/** The statement that cosign writes for a plain signature: v1, a subject without a name. */
export function signatureStatement(digest: Digest, annotations: Readonly<Record<string, string>>): string {
  return JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { [digestAlgorithm(digest)]: digestHex(digest) }, annotations }],
    predicateType: SIGNATURE_PREDICATE_TYPE,
    predicate: {},
  });
}

/** The statement that cosign writes for an attestation: v0.1, which every reader knows. `predicate` is JSON text and stays as it is. */
export function attestationStatement(subject: { name: string; digest: Digest }, predicateType: string, predicate: string): string {
  const { name, digest } = subject;
  const subjects = JSON.stringify([{ name, digest: { [digestAlgorithm(digest)]: digestHex(digest) } }]);
  return `{"_type":"https://in-toto.io/Statement/v0.1","subject":${subjects},"predicateType":${JSON.stringify(predicateType)},"predicate":${predicate}}`;
}

/** An in-toto statement (v1 or v0.1), already authenticated. @throws KitError SIGNATURE_INVALID */
export function parseStatement(payload: Uint8Array): Statement {
  return parseJson(statementSchema, payload, 'its statement');
}

/**
 * Accepts a statement, already authenticated, that is a plain signature meeting the requirement; returns what it says beside the digest.
 * @throws KitError SIGNATURE_INVALID whose message says why it is not
 */
export function requireSignatureStatement(payload: Uint8Array, requirement: SignatureRequirement): Readonly<Record<string, unknown>> {
  const statement = parseStatement(payload);
  if (statement.predicateType !== SIGNATURE_PREDICATE_TYPE) {
    throw notAccepted(`it is an attestation (${statement.predicateType}), not a signature`);
  }
  return requireOne(subjectsWith(statement, requirement.digest), requirement);
}

/** Accepts a statement, already authenticated, of the predicate type, or of any. @throws KitError SIGNATURE_INVALID */
export function requireAttestationStatement(
  payload: Uint8Array,
  { digest, predicateType }: Omit<AttestationRequirement, 'verifier'>,
): Statement {
  const statement = parseStatement(payload);
  requirePredicateType(statement, predicateType);
  subjectsWith(statement, digest);
  return statement;
}

/** @throws KitError SIGNATURE_INVALID */
export function requirePredicateType({ predicateType: actual }: Statement, predicateType: string | undefined): void {
  if (actual === predicateType || (predicateType === undefined && actual !== SIGNATURE_PREDICATE_TYPE)) return;
  throw notAccepted(
    actual === SIGNATURE_PREDICATE_TYPE || predicateType === undefined
      ? `it is a signature, not an attestation${predicateType === undefined ? '' : ` (${predicateType})`}`
      : `it attests ${actual}, not ${predicateType}`,
  );
}

/** The subjects of the statement that are `digest`: at least one. @throws KitError SIGNATURE_INVALID when it is about something else */
function subjectsWith({ subject }: Statement, digest: Digest): readonly StatementSubject[] {
  const algorithm = digestAlgorithm(digest);
  const found = subject.filter((one) => one.digest?.[algorithm] === digestHex(digest));
  if (found.length > 0) return found;
  const [first] = subject;
  const other = first?.digest?.[algorithm];
  throw notAccepted(`it signs ${other === undefined ? `no ${algorithm} digest` : `${algorithm}:${other}`}, not ${digest}`);
}

/** One of the subjects must have all the annotations. */
function requireOne(subjects: readonly StatementSubject[], requirement: SignatureRequirement): Readonly<Record<string, unknown>> {
  let refusal: KitError | undefined;
  for (const { annotations } of subjects) {
    try {
      requireAnnotations(annotations, requirement);
      return annotations ?? {};
    } catch (error) {
      if (!(error instanceof KitError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal ?? notAccepted('it signs nothing');
}
