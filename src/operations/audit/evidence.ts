import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { examineStatements, type ExaminedStatement } from '../../signing/examine-statements.ts';
import { IN_TOTO_TYPE, parseStatement, requireAttestationStatement, type Statement } from '../../signing/statement.ts';
import type { Verifier } from '../../signing/verifier.ts';
import { contentOf, kindOfStatement, timeOf } from './content.ts';
import { type AuditEvidence, byText, type Trust } from './report.ts';
import { readAttachment, signaturesIn } from '../sign/signature-source.ts';
import type { VisitedManifest } from '../tree/tree.ts';

/** A piece of evidence with what was read of it. */
export interface Found {
  readonly evidence: AuditEvidence;
  readonly statement: Statement | undefined;
}

export interface Collected {
  readonly found: readonly Found[];
  readonly problems: readonly string[];
  readonly truncated: boolean;
}

/** Manifests whose signatures are looked for, and pieces of evidence: who attaches more wants to keep us busy. */
const MAX_SUBJECTS = 100;
const MAX_EVIDENCE = 2000;
const MAX_STATEMENT_BYTES = 16 * 1024 * 1024;

/** Signatures of a signature say nothing about an artifact. */
const SUBJECTS: ReadonlySet<VisitedManifest['relation']> = new Set(['root', 'base', 'member', 'image', 'referrer', 'sbom']);

/** All evidence about the manifests that were met, in a steady order. @throws KitError when that about the first cannot be had */
export async function collectEvidence(
  visited: readonly VisitedManifest[],
  verifier: Verifier | undefined,
  call: CallOptions,
): Promise<Collected> {
  const found: Found[] = [];
  const problems: string[] = [];
  const subjects = visited.filter(({ relation }) => SUBJECTS.has(relation));
  const attached = new Map(
    visited.map(({ descriptor, content }) => [descriptor.digest, timeOf(content.annotations?.[ANNOTATION.created])]),
  );
  for (const subject of subjects.slice(0, MAX_SUBJECTS)) {
    try {
      const source = signaturesIn(subject.source.target, call);
      for await (const one of examineStatements(source, subject.descriptor, verifier)) {
        if (found.length === MAX_EVIDENCE) break;
        found.push(ofSigned(one, subject.descriptor.digest, attached.get(one.digest), verifier));
      }
    } catch (error) {
      call.signal?.throwIfAborted();
      const isFirst = subject.relation === 'root' && !isKitError(error, 'LIMIT_EXCEEDED');
      if (isFirst || !isKitError(error)) throw error;
      problems.push(`what lies beside ${subject.descriptor.digest}: ${error.message}`);
    }
  }
  const known = new Set(found.map(({ evidence: { source } }) => source));
  for (const one of visited) {
    const about = one.content.subject?.digest;
    if (about === undefined || known.has(one.descriptor.digest) || found.length === MAX_EVIDENCE) continue;
    found.push(await ofUnsigned(one, about, call));
  }
  const truncated = subjects.length > MAX_SUBJECTS || found.length === MAX_EVIDENCE;
  return { found: found.toSorted((a, b) => byText(orderOf(a), orderOf(b))), problems, truncated };
}

function orderOf({ evidence: { about, kind, source, predicateType = '' } }: Found): string {
  return `${about} ${kind} ${predicateType} ${source}`;
}

function ofSigned(
  { kind, digest, statement, claimedSigner, signer, reason }: ExaminedStatement,
  about: Digest,
  attached: string | undefined,
  verifier: Verifier | undefined,
): Found {
  const trust: Trust =
    signer === undefined
      ? { trust: 'claimed', reason: reason ?? (verifier === undefined ? NOBODY_ASKED : 'it is not valid') }
      : { trust: 'verified', signers: [signer] };
  const type = statement?.predicateType;
  const isUnread = statement === undefined && kind === 'bundle';
  const is = type === undefined ? (isUnread ? 'other' : 'signature') : kindOfStatement(type);
  const content = statement && contentOf(is, statement);
  return {
    statement,
    evidence: {
      kind: is,
      form: kind === 'bundle' ? 'sigstore bundle' : 'cosign layer',
      source: digest,
      about,
      ...(type !== undefined && { predicateType: type }),
      ...(signer === undefined && claimedSigner !== undefined && { claimedSigner }),
      ...(attached !== undefined && { attached }),
      ...trust,
      ...(content !== undefined && { content }),
    },
  };
}

export const NOBODY_ASKED = 'nobody was named whose signatures count';
const UNSIGNED = 'nobody has signed it';

/** A statement without a signature, or a document. */
async function ofUnsigned(visited: VisitedManifest, about: Digest, call: CallOptions): Promise<Found> {
  const { descriptor, content, relation } = visited;
  const artifactType = content.artifactType ?? descriptor.artifactType;
  const attached = timeOf(content.annotations?.[ANNOTATION.created]);
  const common = { source: descriptor.digest, about, ...(attached !== undefined && { attached }), trust: 'claimed' } as const;
  if (artifactType === IN_TOTO_TYPE) {
    const read = await readStatement(visited, about, call);
    if (typeof read === 'string')
      return { statement: undefined, evidence: { kind: 'other', form: 'unsigned statement', ...common, reason: read } };
    const kind = kindOfStatement(read.predicateType);
    // what it calls itself makes no signature of it
    const is = kind === 'signature' || kind === 'model signature' ? 'other' : kind;
    const said = contentOf(is, read);
    const evidence = { kind: is, form: 'unsigned statement', ...common, predicateType: read.predicateType, reason: UNSIGNED } as const;
    return { statement: read, evidence: { ...evidence, ...(said !== undefined && { content: said }) } };
  }
  const kind = relation === 'sbom' ? 'sbom' : relation === 'signature' ? 'signature' : relation === 'attestation' ? 'attestation' : 'other';
  const reason = relation === 'signature' ? 'signatures of this kind are not understood' : UNSIGNED;
  return {
    statement: undefined,
    evidence: { kind, form: 'document', ...common, ...(artifactType !== undefined && { artifactType }), reason },
  };
}

/** The statement, or why it cannot be read. */
async function readStatement({ source, content }: VisitedManifest, about: Digest, call: CallOptions): Promise<Statement | string> {
  const [layer, ...others] = 'layers' in content ? content.layers : [];
  if (layer === undefined || others.length > 0 || layer.mediaType !== IN_TOTO_TYPE)
    return 'its manifest does not hold exactly one statement';
  if (layer.size > MAX_STATEMENT_BYTES) return `it has ${layer.size} bytes, and ${MAX_STATEMENT_BYTES} are read at most`;
  try {
    const bytes = await readAttachment(source.target, layer, call);
    const { predicateType } = parseStatement(bytes);
    return requireAttestationStatement(bytes, { digest: about, predicateType });
  } catch (error) {
    call.signal?.throwIfAborted();
    if (!isKitError(error)) throw error;
    return error.message;
  }
}
