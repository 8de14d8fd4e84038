import * as z from 'zod';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';

/** Who signs, as an OpenID Connect issuer says. */
export interface IdentityToken {
  /** A secret: it is in no message. */
  readonly token: string;
  /** What a certificate authority wants signed as proof. */
  readonly subject: string;
  readonly issuer: string;
}

const claimsSchema = z.looseObject({
  iss: z.string().min(1),
  sub: z.string().min(1),
  exp: z.number(),
  email: z.string().min(1).optional(),
  email_verified: z.union([z.boolean(), z.string()]).optional(),
});

/**
 * What a token (a JWT) says. Nobody has checked it: that is the authority's task. `source` names where it comes from.
 * @throws KitError IDENTITY_FAILED
 */
export function parseIdentityToken(text: string, source: string, now = Date.now()): IdentityToken {
  const token = text.trim();
  const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token) ?? [];
  const claims = payload === undefined ? undefined : readClaims(payload);
  if (claims === undefined) {
    throw new KitError('IDENTITY_FAILED', `${source} holds no identity token (a JWT with iss, sub and exp)`, {
      hint: 'it must be an OpenID Connect ID token for the audience `sigstore`',
    });
  }
  const { iss: issuer, sub, email, exp, email_verified: verified } = claims;
  if (exp * 1000 <= now)
    throw new KitError('IDENTITY_FAILED', `the identity token of ${source} expired ${new Date(exp * 1000).toISOString()}`, {
      hint: 'get a new one',
    });
  if (email !== undefined && String(verified) === 'false')
    throw new KitError('IDENTITY_FAILED', `${plainText(issuer)} has not verified the address ${plainText(email)}`);
  return { token, subject: email ?? sub, issuer };
}

function readClaims(payload: string): z.infer<typeof claimsSchema> | undefined {
  try {
    return claimsSchema.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
  } catch {
    // its text may be part of a secret
    return undefined;
  }
}
