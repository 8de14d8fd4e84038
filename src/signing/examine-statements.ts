import { X509Certificate } from 'node:crypto';
import type { Descriptor } from '../oci/descriptor.ts';
import { plainText } from '../registry/redact.ts';
import { parseBundle } from './bundle.ts';
import { type Candidate, type Damaged, findCandidates, judge, type SignatureSource } from './candidates.ts';
import { requireAttestation } from './check-attestations.ts';
import { checkSignature } from './check-signatures.ts';
import { parseEnvelope } from './dsse.ts';
import { legacyMaterial } from './legacy-material.ts';
import { certificateIn, type VerificationMaterial } from './material.ts';
import { openModel } from './oms-bundle.ts';
import { OMS_PREDICATE_TYPE } from './oms-statement.ts';
import { parseStatement, SIGNATURE_PREDICATE_TYPE, type Statement } from './statement.ts';
import type { Signatory, Verifier } from './verifier.ts';

/** Something signed that lies beside an artifact, with what it claims, and what became of it where somebody was asked for. */
export interface ExaminedStatement extends Pick<Candidate, 'kind' | 'digest'> {
  /** Undefined for a signature of cosign's older format, and for what cannot be read. */
  readonly statement: Statement | undefined;
  /** Who signed, by its own word: `key ...`, or the name in its certificate. */
  readonly claimedSigner: string | undefined;
  /** Undefined: it is not accepted, or nobody was asked for. */
  readonly signer?: Signatory;
  /** Why it is not accepted. */
  readonly reason?: string;
}

/**
 * Everything signed about the manifest `subject`, of whatever type: sigstore bundles, then signatures and attestations under cosign's
 * older tags. @throws KitError LIMIT_EXCEEDED, and what `source` throws
 */
export async function* examineStatements(
  source: SignatureSource,
  subject: Descriptor,
  verifier: Verifier | undefined,
): AsyncGenerator<ExaminedStatement, void, undefined> {
  // bundles may be either: they are read with the first of both
  const older = { ...source, referrers: nothing };
  for (const [suffix, from] of [
    ['sig', source],
    ['att', older],
  ] as const) {
    for await (const candidate of findCandidates(from, subject, suffix)) yield await examine(candidate, suffix, subject, verifier);
  }
}

async function* nothing(): AsyncGenerator<Descriptor> {
  // there are none
}

async function examine(
  candidate: Candidate | Damaged,
  suffix: 'sig' | 'att',
  { digest: of }: Descriptor,
  verifier: Verifier | undefined,
): Promise<ExaminedStatement> {
  const { kind, digest } = candidate;
  const unknown = { kind, digest, statement: undefined, claimedSigner: undefined };
  if ('reason' in candidate) return { ...unknown, reason: candidate.reason };
  const read = await judge(async () => await Promise.resolve(readClaim(candidate, suffix)));
  if ('reason' in read) return { ...unknown, reason: read.reason };
  const claim = { kind, digest, ...read.value };
  if (verifier === undefined) return claim;
  const { predicateType } = claim.statement ?? {};
  if (predicateType === OMS_PREDICATE_TYPE) return { ...claim, reason: await judgeModel(candidate, verifier) };
  if (predicateType === undefined || predicateType === SIGNATURE_PREDICATE_TYPE) {
    const { signer, reason } = await checkSignature(candidate, { verifier, digest: of, annotations: {} });
    return { ...claim, ...(signer && { signer }), ...(reason !== undefined && { reason }) };
  }
  const verdict = await judge(async () => await requireAttestation(candidate, { verifier, digest: of, predicateType }));
  return 'reason' in verdict ? { ...claim, reason: verdict.reason } : { ...claim, ...verdict.value };
}

function readClaim({ kind, bytes, annotations }: Candidate, suffix: 'sig' | 'att'): Pick<ExaminedStatement, 'statement' | 'claimedSigner'> {
  const material = kind === 'bundle' ? undefined : legacyMaterial(annotations);
  if (material !== undefined && suffix === 'sig') return { statement: undefined, claimedSigner: claimedIn(material) };
  const opened = material === undefined ? parseBundle(bytes) : { envelope: parseEnvelope(bytes), material };
  const statement = parseStatement(Buffer.from(opened.envelope.payload, 'base64'));
  return { statement, claimedSigner: claimedIn(opened.material) };
}

/** The signature over files may hold and the files still be others: that takes reading them. */
async function judgeModel({ bytes }: Candidate, verifier: Verifier): Promise<string> {
  const verdict = await judge(async () => await openModel(bytes, verifier));
  return 'reason' in verdict
    ? verdict.reason
    : 'its signature holds, but it is about files, which were not compared: `kit verify --oms` does that';
}

function claimedIn(material: VerificationMaterial): string | undefined {
  const der = certificateIn(material);
  if (der === undefined) return material.publicKey?.hint ? plainText(`key ${material.publicKey.hint}`) : undefined;
  try {
    const { subjectAltName, subject } = new X509Certificate(Buffer.from(der, 'base64'));
    return plainText(subjectAltName ?? subject.replaceAll('\n', ', '));
  } catch {
    return undefined;
  }
}
