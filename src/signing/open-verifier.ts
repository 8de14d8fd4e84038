import { KitError } from '../errors.ts';
import type { Environment } from './key-file.ts';
import { openKeyVerifier } from './key-verifier.ts';
import type { Wanted } from './identity-verifier.ts';
import type { Trust } from './proofs.ts';
import { loadTrustedRoot, type TrustSource } from './trusted-root.ts';
import type { Verifier } from './verifier.ts';

export interface VerifierSource {
  /** See `openKeyVerifier`: either this or the identity. */
  readonly key?: string | undefined;
  readonly identity?: Wanted | undefined;
  readonly issuer?: Wanted | undefined;
  /** With a key: log entries are required and checked by this, which they are not otherwise. */
  readonly trust: TrustSource;
  readonly ignoreLog?: boolean | undefined;
  readonly ignoreSct?: boolean | undefined;
  readonly env?: Environment;
}

/** Accepts signatures by a key or by an identity. @throws KitError USAGE | CONFIG_INVALID | PATH_NOT_FOUND | NETWORK and so on */
export async function openVerifier(source: VerifierSource): Promise<Verifier> {
  const { key, identity, issuer, trust, env } = source;
  if (key !== undefined) {
    const hasTrust = trust.file !== undefined || trust.tufMirror !== undefined;
    return await openKeyVerifier(key, env, hasTrust ? await openTrust(source) : undefined);
  }
  if (identity === undefined || issuer === undefined) throw new KitError('USAGE', 'an identity needs its issuer, and the reverse');
  const { identityVerifier } = await import('./identity-verifier.ts');
  return identityVerifier([{ identity, issuer }], await openTrust(source));
}

async function openTrust({ trust, ignoreLog, ignoreSct }: VerifierSource): Promise<Trust> {
  return { root: await loadTrustedRoot(trust), ignoreLog: ignoreLog === true, ignoreSct: ignoreSct === true };
}
