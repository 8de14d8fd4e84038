import { X509Certificate } from 'node:crypto';
import { withTimeLimit } from '../time-limit.ts';
import { fulcioClaims } from './fulcio-claims.ts';
import { certificateIn } from './material.ts';
import { plainText } from '../registry/redact.ts';
import { checkProofs, type Trust } from './proofs.ts';
import { notAccepted } from './requirement.ts';
import type { Verifier } from './verifier.ts';

/** A text is compared as it is. A regular expression must match all of it, not a part. */
export type Wanted = string | RegExp;

/** Who must have signed: both are needed, for anybody can have any name at some issuer. */
export interface IdentityRequirement {
  /** E-mail address or URI in the certificate. */
  readonly identity: Wanted;
  /** URL of the OpenID Connect issuer. */
  readonly issuer: Wanted;
}

/** Accepts signatures by short-lived certificates for one of `wanted`. */
export function identityVerifier(wanted: readonly IdentityRequirement[], trust: Trust): Verifier {
  const name = wanted.map(({ identity, issuer }) => `${show(identity)} (${show(issuer)})`).join(' or ');
  return {
    name,
    verify: async (content) => {
      const { material } = content;
      const der = certificateIn(material);
      const isKey = material.publicKey !== undefined && material.publicKey !== null;
      if (der === undefined) throw notAccepted('it was signed with a key, and the certificate of an identity is required');
      if (isKey) throw notAccepted('it names both a key and a certificate, and only one can have signed it');
      const { certificate, logs, times } = await checkProofs(content, trust);
      const identity = certificate?.subjectAlternativeName ?? '';
      const issuer = certificate?.extensions?.issuer ?? '';
      let problem: string | undefined;
      const compare = (): void => {
        const isWanted = wanted.some((one) => matches(one.identity, identity) && matches(one.issuer, issuer));
        problem = isWanted ? undefined : `it is by ${identity} (${issuer}), not by ${name}${nearMiss(wanted, identity)}`;
      };
      withTimeLimit(compare, 'USAGE', () => `${name}, compared with ${plainText(identity)},`);
      if (problem !== undefined) throw notAccepted(problem);
      return { type: 'identity', identity, issuer, claims: fulcioClaims(new X509Certificate(Buffer.from(der, 'base64')).raw), logs, times };
    },
  };
}

function matches(wanted: Wanted, actual: string): boolean {
  if (actual === '') return false;
  if (typeof wanted === 'string') return wanted === actual;
  const [found] = new RegExp(`^(?:${wanted.source})$`, wanted.flags).exec(actual) ?? [];
  return found === actual;
}

/** What is easily overlooked: another issuer, and a match of a part, which is enough for cosign's patterns. */
function nearMiss(wanted: readonly IdentityRequirement[], identity: string): string {
  if (wanted.some((one) => matches(one.identity, identity))) return ': the issuer is another one';
  const isPart = wanted.some((one) =>
    typeof one.identity === 'string' ? identity.includes(one.identity) : identity.search(one.identity) >= 0,
  );
  return isPart ? ': that matches a part of it only' : '';
}

function show(wanted: Wanted): string {
  return typeof wanted === 'string' ? wanted : String(wanted);
}
