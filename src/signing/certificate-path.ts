import type { X509Certificate } from 'node:crypto';
import { notAccepted } from './requirement.ts';

const OID = { keyUsage: '2.5.29.15', basicConstraints: '2.5.29.19', extendedKeyUsage: '2.5.29.37', subjectAltName: '2.5.29.17' } as const;
const UNDERSTOOD: ReadonlySet<string> = new Set(Object.values(OID));
const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';

/** A certificate with what node:crypto does not tell. */
export interface ParsedCertificate {
  readonly certificate: X509Certificate;
  /** How many authorities may stand between it and the signer; undefined: any number. */
  readonly maxDepth: number | undefined;
  /** True: its key may make signatures over data. */
  readonly maySign: boolean;
  /** A critical extension that nobody here understands: such a certificate must not be used (RFC 5280, 4.2). */
  readonly unknownExtension: string | undefined;
}

/** @throws KitError SIGNATURE_INVALID for a malformed one */
export async function parseCertificate(certificate: X509Certificate): Promise<ParsedCertificate> {
  const { X509Certificate: Parser } = await import('@sigstore/core');
  try {
    const parsed = Parser.parse(Buffer.from(certificate.raw));
    const maxDepth = parsed.extBasicConstraints?.pathLenConstraint;
    // undefined where there is no such extension, whatever the types say
    const usages = certificate.keyUsage as readonly string[] | undefined;
    const critical = parsed.extensions
      .filter(({ subs }) => subs.length === 3 && subs[1]?.toBoolean() === true)
      .map(({ subs: [oid] }) => oid?.toOID() ?? '');
    return {
      certificate,
      maxDepth: maxDepth === undefined ? undefined : Number(maxDepth),
      // as model_signing asks for it
      maySign: parsed.extKeyUsage?.digitalSignature === true || (usages ?? []).includes(CODE_SIGNING),
      unknownExtension: critical.find((oid) => !UNDERSTOOD.has(oid)),
    };
  } catch (cause) {
    throw notAccepted(`its certificate of ${nameOf(certificate)} is malformed: ${(cause as Error).message}`, cause);
  }
}

/** `CN=signer, O=team`: one line. */
export function nameOf({ subject }: X509Certificate): string {
  return oneLine(subject);
}

/** A distinguished name as OpenSSL prints it has a line for each part. */
export function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').filter(Boolean).join(', ') || '(no name)';
}

interface Step {
  readonly below: X509Certificate;
  /** Authorities between `below` and the signer, `below` included. */
  readonly depth: number;
}

/**
 * Proves that `leaf` was issued, through `intermediates` if need be, below a self-signed certificate of `trusted`. All of them must have
 * been valid when it was issued: nothing tells when it signed. Each certificate is looked at once, the shortest way first, so a
 * chain that was made to keep us busy does not. @throws KitError SIGNATURE_INVALID whose message says why not
 */
export async function requirePath(
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
  source: string,
): Promise<void> {
  const time = leaf.validFromDate;
  const anchors = new Set(trusted.filter(isSelfSigned).map(({ fingerprint256 }) => fingerprint256));
  if (anchors.has(leaf.fingerprint256)) return;
  const left = new Map([...trusted, ...intermediates].map((one) => [one.fingerprint256, one]));
  const steps: Step[] = [{ below: leaf, depth: 0 }];
  let refusal: string | undefined;
  for (const { below, depth } of steps) {
    for (const [fingerprint, issuer] of left) {
      if (!isIssuedBy(below, issuer)) continue;
      left.delete(fingerprint);
      const why = await whyNoAuthority(issuer, depth, time);
      if (why !== undefined) refusal ??= why;
      else if (anchors.has(fingerprint)) return;
      else steps.push({ below: issuer, depth: depth + 1 });
    }
  }
  throw notAccepted(refusal ?? `its certificate (${nameOf(leaf)}) is not by an authority of ${source}`);
}

/** What forbids a certificate that issued another to have done so. */
async function whyNoAuthority(issuer: X509Certificate, depth: number, time: Date): Promise<string | undefined> {
  const name = nameOf(issuer);
  if (!issuer.ca) return `its certificate is by ${name}, which is no authority`;
  const { maxDepth, unknownExtension } = await parseCertificate(issuer);
  if (unknownExtension !== undefined)
    return `the authority ${name} has the critical extension ${unknownExtension}, which is not understood`;
  if (maxDepth !== undefined && depth > maxDepth) return `the authority ${name} may not stand above so many others`;
  if (time < issuer.validFromDate || time > issuer.validToDate)
    return `the authority ${name} was not valid when the certificate was issued`;
  return undefined;
}

/** One without authority over others may be, too. */
function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && isSignedBy(certificate, certificate);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && isSignedBy(certificate, issuer);
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    // a key or algorithm that OpenSSL does not know
    return false;
  }
}
