import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { parseBundle } from './bundle.ts';
import { type Candidate, type Damaged, findCandidates, judge, type SignatureSource } from './candidates.ts';
import { parseEnvelope } from './dsse.ts';
import { SIGNATURE_ANNOTATION } from './simple-signing.ts';
import { parseStatement, SIGNATURE_PREDICATE_TYPE, type Statement } from './statement.ts';

/** A signature or attestation as it lies beside an artifact. Nothing of it was checked. */
export interface Unverified extends Pick<Candidate, 'kind' | 'digest'> {
  /** What it claims to say. Undefined for a signature of cosign's older format, which is no statement. */
  readonly statement: Statement | undefined;
  /** One line of JSON as cosign prints it: the bundle, the envelope of an older attestation, an older signature with its payload. */
  readonly text: string;
}

/** All signatures (`sig`) or attestations (`att`) of `subject`; what cannot be read is given as `Damaged`. */
export async function* readUnverified(
  source: SignatureSource,
  subject: Descriptor,
  suffix: 'sig' | 'att',
): AsyncGenerator<Unverified | Damaged, void, undefined> {
  for await (const candidate of findCandidates(source, subject, suffix)) {
    const { kind, digest } = candidate;
    const read = 'reason' in candidate ? candidate : await judge(async () => await Promise.resolve(readOne(candidate, suffix)));
    if ('reason' in read) yield { kind, digest, reason: read.reason };
    else if (isOf(suffix, read.value)) yield read.value;
  }
}

/** A bundle says in its content whether it is a signature. */
function isOf(suffix: 'sig' | 'att', { statement }: Unverified): boolean {
  return statement === undefined || (statement.predicateType === SIGNATURE_PREDICATE_TYPE) === (suffix === 'sig');
}

function readOne({ kind, digest, bytes, annotations }: Candidate, suffix: 'sig' | 'att'): Unverified {
  if (kind === 'legacy' && suffix === 'sig') {
    const payload = Buffer.from(bytes).toString('base64');
    return { kind, digest, statement: undefined, text: legacySignature(payload, annotations) };
  }
  const envelope = kind === 'legacy' ? parseEnvelope(bytes) : parseBundle(bytes).envelope;
  const statement = parseStatement(Buffer.from(envelope.payload, 'base64'));
  return { kind, digest, statement, text: oneLine(bytes) };
}

function legacySignature(payload: string, annotations: Candidate['annotations']): string {
  const signature = annotations[SIGNATURE_ANNOTATION] ?? '';
  const of = (name: string): string | null => annotations[`dev.sigstore.cosign/${name}`] ?? null;
  const bundle = of('bundle');
  return JSON.stringify({
    Base64Signature: signature,
    Payload: payload,
    Cert: of('certificate'),
    Chain: of('chain'),
    Bundle: bundle,
    RFC3161Timestamp: of('rfc3161timestamp'),
  });
}

/** JSON as it is, but in one line: its strings hold no line break. Not parsed again, which content nested without end would not survive. */
function oneLine(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('utf8')
    .trim()
    .replaceAll(/[\r\n]\s*/g, '');
}

/** Where a statement that is found stands. */
export function placeOf({ kind, digest }: { readonly kind: Candidate['kind']; readonly digest: Digest }): string {
  return `${kind === 'bundle' ? 'sigstore bundle' : 'cosign layer'} ${digest}`;
}
