import * as z from 'zod';
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { parseJson } from './parse-json.ts';
import { notAccepted } from './requirement.ts';

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
});

export type Statement = z.infer<typeof statementSchema>;
export type StatementSubject = z.infer<typeof subjectSchema>;

/** An in-toto statement (v1 or v0.1), already authenticated. @throws KitError SIGNATURE_INVALID */
export function parseStatement(payload: Uint8Array): Statement {
  return parseJson(statementSchema, payload, 'its statement');
}

/** The subjects of the statement that are `digest`: at least one. @throws KitError SIGNATURE_INVALID when it is about something else */
export function subjectsWith({ subject }: Statement, digest: Digest): readonly StatementSubject[] {
  const algorithm = digestAlgorithm(digest);
  const found = subject.filter((one) => one.digest?.[algorithm] === digestHex(digest));
  if (found.length > 0) return found;
  const [first] = subject;
  const other = first?.digest?.[algorithm];
  throw notAccepted(`it signs ${other === undefined ? `no ${algorithm} digest` : `${algorithm}:${other}`}, not ${digest}`);
}
