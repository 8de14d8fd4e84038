import { KitError } from '../errors.ts';
import { identityFinder, type OidcFlow } from './find-identity.ts';
import type { Environment } from './key-file.ts';
import { keylessSigner } from './keyless-signer.ts';
import { openKeySigner } from './private-key.ts';
import { type Signer, witnessed } from './signer.ts';
import { PUBLIC_SERVICES, readSigningConfig, type SigningServices, witnessesOf } from './signing-services.ts';

export interface SignerSource {
  /** See `openKeySigner`. Undefined: a short-lived certificate is asked for. */
  readonly key?: string | undefined;
  readonly password?: ((name: string) => Promise<string>) | undefined;
  /** As in `openKeySigner`. */
  readonly ownHash?: boolean;
  /** With a key: signatures carry this certificate of it, see `certified`. Only those over the files of a model may. */
  readonly certificate?: string | undefined;
  readonly certificateChain?: string | undefined;
  /** See `readSigningConfig`. Default: the public services of sigstore for a certificate, none for a key. */
  readonly signingConfig?: string | undefined;
  /** Each replaces what the config says. */
  readonly fulcioUrl?: string | undefined;
  readonly rekorUrl?: string | undefined;
  readonly rekorVersion?: 1 | 2 | undefined;
  readonly timestampUrl?: string | undefined;
  readonly oidcIssuer?: string | undefined;
  readonly oidcClientId?: string | undefined;
  /** File with an identity token. */
  readonly identityToken?: string | undefined;
  /** Undefined: nobody is asked to log in. */
  readonly oidcFlow?: OidcFlow | undefined;
  readonly tell?: (message: string) => void;
  readonly env?: Environment;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What signs, with a key or as an identity, with the proofs of logs and timestamp authorities.
 * @throws KitError CONFIG_INVALID | PATH_NOT_FOUND; IDENTITY_FAILED, SERVICE_FAILED and NETWORK mostly when it signs
 */
export async function openSigner(source: SignerSource): Promise<Signer> {
  const { key, password, ownHash = false, env = process.env, signal } = source;
  const services = await servicesOf(source);
  const witnesses = witnessesOf(services, signal);
  if (key !== undefined) {
    const signer = await openKeySigner(key, { env, ownHash, ...(password !== undefined && { password }) });
    return witnessed(await withCertificate(signer, source), witnesses);
  }
  const { fulcioUrl } = services;
  if (fulcioUrl === undefined)
    throw new KitError('CONFIG_INVALID', 'the signing config names no certificate authority that can be used now', {
      hint: 'give `--key` or `--fulcio-url`',
    });
  if (services.logs.every(({ version }) => version === 2) && witnesses.length === services.logs.length) {
    throw new KitError('CONFIG_INVALID', 'nothing would prove when it was signed, so nobody could accept the certificate', {
      hint: "add `--timestamp-server-url URL`: only logs with Rekor's first API date their entries",
    });
  }
  return witnessed(keylessSigner({ fulcioUrl, signal, identity: identityOf(source, services.oidcIssuer) }), witnesses);
}

async function withCertificate(signer: Signer, { certificate, certificateChain: chain }: SignerSource): Promise<Signer> {
  if (certificate === undefined) return signer;
  const { certified } = await import('./certificate-signer.ts');
  return await certified(signer, { certificate, chain });
}

function identityOf(source: SignerSource, issuer: string | undefined): ReturnType<typeof identityFinder> {
  const { identityToken, oidcFlow, oidcClientId: clientId, tell = () => {}, env = process.env, signal } = source;
  const provider = issuer === undefined ? undefined : { issuer, clientId, tell, signal };
  return identityFinder({ file: identityToken, flow: oidcFlow, provider, env, signal });
}

async function servicesOf(source: SignerSource): Promise<SigningServices> {
  const { key, signingConfig, fulcioUrl, rekorUrl, rekorVersion = 1, timestampUrl, oidcIssuer } = source;
  const none = { fulcioUrl: undefined, oidcIssuer: undefined, logs: [], timestampUrls: [] };
  // what a private authority certifies is not to be told to a public log
  const isPublic = key === undefined && fulcioUrl === undefined;
  const base = signingConfig !== undefined ? await readSigningConfig(signingConfig) : isPublic ? PUBLIC_SERVICES : none;
  for (const url of [fulcioUrl, rekorUrl, timestampUrl])
    if (url !== undefined && !URL.canParse(url)) throw new KitError('CONFIG_INVALID', `\`${url}\` is not the URL of a service`);
  return {
    fulcioUrl: fulcioUrl ?? base.fulcioUrl,
    oidcIssuer: oidcIssuer ?? base.oidcIssuer,
    logs: rekorUrl === undefined ? base.logs : [{ url: rekorUrl, version: rekorVersion }],
    timestampUrls: timestampUrl === undefined ? base.timestampUrls : [timestampUrl],
  };
}
