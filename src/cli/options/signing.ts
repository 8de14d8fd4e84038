import { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { Verifier } from '../../signing/verifier.ts';
import type { OidcFlow } from '../../signing/find-identity.ts';
import type { SignerSource } from '../../signing/open-signer.ts';
import type { Signer } from '../../signing/signer.ts';
import { addNetworkOptions, type KitFlags } from './network.ts';
import { oneOf } from './global.ts';
import type { SignatureFormat } from '../../operations/sign/attach-signed.ts';

/** `--key` is the signer's where something is signed or verified, as in cosign; the client certificate's is `--client-key` there. */
export interface SignerFlags extends KitFlags {
  readonly clientKey?: string;
}

const FORMATS: readonly SignatureFormat[] = ['both', 'bundle', 'legacy'];

/** For commands that only sign or verify: the network options, with `--client-key` for `--key`. */
export function addSignerNetworkOptions(command: Command): Command {
  for (const option of addNetworkOptions(new Command()).options) if (option.long !== '--key') command.addOption(option);
  return addClientKeyOption(command);
}

/** For commands that have `--key` already and may sign or verify on the way. */
export function addClientKeyOption(command: Command): Command {
  return command.option('--client-key <file>', 'PEM file with the key of the client certificate, where --key is that of a signer');
}

export function addSignatureFormatOption(command: Command): Command {
  return command.option(
    '--signature-format <format>',
    "both, bundle (sigstore, OCI referrer), or legacy (cosign's older tags: Kyverno's default, podman, Ratify)",
    (value: string) => oneOf('--signature-format', value, FORMATS),
    'both' satisfies SignatureFormat,
  );
}

/** The flags of the network where `--key` is the signer's. */
export function networkFlags({ clientKey, key: _signer, ...flags }: SignerFlags): KitFlags {
  return clientKey === undefined ? flags : { ...flags, key: clientKey };
}

/** For model signatures alone: see `requireNoCertificate`. */
export interface CertificateFlags {
  readonly certificate?: string;
  readonly certificateChain?: string;
}

/** For whoever signs without a key, or wants logs and timestamps with one. */
export interface SignFlags extends SignerFlags {
  readonly identityToken?: string;
  readonly oidcFlow?: OidcFlow;
  readonly oidcIssuer?: string;
  readonly oidcClientId?: string;
  readonly signingConfig?: string;
  readonly fulcioUrl?: string;
  readonly rekorUrl?: string;
  readonly rekorVersion?: '1' | '2';
  readonly timestampServerUrl?: string;
}

/** Whom to trust for identities. */
export interface TrustFlags {
  readonly trustedRoot?: string;
  readonly tufMirror?: string;
  readonly tufRoot?: string;
  readonly offline?: boolean;
}

/** For whoever accepts identities. */
export interface VerifyFlags extends SignerFlags, TrustFlags {
  readonly certificateIdentity?: string;
  readonly certificateIdentityRegexp?: string;
  readonly certificateOidcIssuer?: string;
  readonly certificateOidcIssuerRegexp?: string;
  readonly insecureIgnoreTlog?: boolean;
  readonly insecureIgnoreSct?: boolean;
}

const SIGN_FLAGS = [
  'identityToken',
  'oidcFlow',
  'oidcIssuer',
  'oidcClientId',
  'signingConfig',
  'fulcioUrl',
  'rekorUrl',
  'rekorVersion',
  'timestampServerUrl',
] as const;
const VERIFY_FLAGS = [
  'certificateIdentity',
  'certificateIdentityRegexp',
  'certificateOidcIssuer',
  'certificateOidcIssuerRegexp',
  'trustedRoot',
  'tufMirror',
  'tufRoot',
  'offline',
  'insecureIgnoreTlog',
  'insecureIgnoreSct',
] as const;

export function addSignOptions(command: Command): Command {
  return command
    .option(
      '--identity-token <file>',
      'without a key: file with the identity token (default: $SIGSTORE_ID_TOKEN, GitHub Actions, Buildkite)',
    )
    .option(
      '--oidc-flow <flow>',
      'without a token: log in by browser, or by a device code (default: browser, on a terminal)',
      (value: string) => oneOf('--oidc-flow', value, ['browser', 'device']),
    )
    .option('--oidc-issuer <url>', 'where to log in (default: that of sigstore)')
    .option('--oidc-client-id <id>', 'as which program to log in (default: sigstore)')
    .option(
      '--signing-config <file>',
      "services to sign with, as `cosign signing-config create` writes it (default: sigstore's, without a key)",
    )
    .option('--fulcio-url <url>', 'certificate authority')
    .option('--rekor-url <url>', 'transparency log')
    .option('--rekor-version <version>', 'API of --rekor-url: 1, 2 (default: 1)', (value: string) =>
      oneOf('--rekor-version', value, ['1', '2']),
    )
    .option('--timestamp-server-url <url>', 'timestamp authority (RFC 3161)');
}

export function addVerifyOptions(command: Command): Command {
  return addTrustOptions(
    command
      .option('--certificate-identity <identity>', 'without a key: e-mail address or URI of the signer, exactly')
      .option('--certificate-identity-regexp <pattern>', 'the same as a regular expression that matches all of it')
      .option('--certificate-oidc-issuer <url>', 'who vouches for that identity, exactly')
      .option('--certificate-oidc-issuer-regexp <pattern>', 'the same as a regular expression that matches all of it'),
  )
    .option('--insecure-ignore-tlog', 'accept a signature that no transparency log lists')
    .option('--insecure-ignore-sct', 'accept a certificate that no certificate transparency log lists');
}

export function addTrustOptions(command: Command): Command {
  return command
    .option('--trusted-root <file>', 'authorities and logs to trust, as `cosign trusted-root create` writes it (default: by TUF)')
    .option('--tuf-mirror <url>', "TUF repository with the trusted root (default: sigstore's)")
    .option('--tuf-root <file>', 'first root of that repository')
    .option('--offline', 'use the trusted root that was fetched last');
}

/** For `sign` and `verify` of anything but the files of a model. @throws KitError USAGE */
export function requireNoCertificate({ certificate, certificateChain }: CertificateFlags): void {
  if (certificate === undefined && certificateChain === undefined) return;
  throw new KitError('USAGE', `${certificate === undefined ? '--certificate-chain' : '--certificate'} goes with --oms`, {
    hint: 'signatures of manifests are made with a key, or as an identity by `--fulcio-url`',
  });
}

/** The first flag that is given though nothing is signed; undefined mostly. */
export function straySignFlag(flags: SignFlags): string | undefined {
  return strayFlag(flags, SIGN_FLAGS);
}

/** The same where nothing is verified. */
export function strayVerifyFlag(flags: VerifyFlags): string | undefined {
  return strayFlag(flags, VERIFY_FLAGS);
}

function strayFlag<T>(flags: T, names: readonly (keyof T & string)[]): string | undefined {
  const name = names.find((one) => flags[one] !== undefined);
  return name === undefined ? undefined : `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** What signs: with `--key`, else as an identity. @throws KitError USAGE, and what `openSigner` of the signing layer throws */
export async function openSigner(
  flags: SignFlags,
  env: NodeJS.ProcessEnv,
  options: Pick<SignerSource, 'signal' | 'ownHash'> = {},
): Promise<Signer> {
  const { key, identityToken, oidcFlow, rekorUrl, rekorVersion, timestampServerUrl } = flags;
  if (identityToken !== undefined && /^ey[\w-]+\./.test(identityToken)) {
    throw new KitError('USAGE', '--identity-token takes the path of a file', {
      hint: 'others can read a command line: write the token to a file, or set $SIGSTORE_ID_TOKEN',
    });
  }
  if (key !== undefined && (identityToken !== undefined || oidcFlow !== undefined))
    throw new KitError('USAGE', 'sign with --key or as an identity, not both');
  if (rekorVersion !== undefined && rekorUrl === undefined) throw new KitError('USAGE', '--rekor-version goes with --rekor-url');
  if (strayFlag(flags, SIGN_FLAGS) !== undefined || key?.includes('://') !== false) await useProxy(env);
  const isInteractive = process.stdin.isTTY && !env['CI'];
  const [{ openSigner: open }, { printMessage }] = await Promise.all([import('../../signing/open-signer.ts'), import('../render/text.ts')]);
  return await open({
    ...flags,
    rekorVersion: rekorVersion === '2' ? 2 : 1,
    timestampUrl: timestampServerUrl,
    oidcFlow: oidcFlow ?? (isInteractive ? 'browser' : undefined),
    tell: printMessage,
    password: async () => keyPassword(env) ?? (await askPassword('Password for the private key: ')),
    env,
    ...options,
  });
}

/** Who must have signed. @throws KitError USAGE when neither a key nor identity and issuer are given, and what `openVerifier` of the signing layer throws */
export async function openVerifier(flags: VerifyFlags, env: NodeJS.ProcessEnv, what = 'verify'): Promise<Verifier> {
  const { key, trustedRoot, tufMirror, tufRoot, offline } = flags;
  const identity = wanted(flags, 'certificateIdentity');
  const issuer = wanted(flags, 'certificateOidcIssuer');
  if (key === undefined && identity === undefined && issuer === undefined) {
    throw new KitError('USAGE', `${what} needs a key or an identity`, {
      hint: 'add `--key FILE` with the public key, such as cosign.pub, or `--certificate-identity` and `--certificate-oidc-issuer`',
    });
  }
  if (key !== undefined && (identity !== undefined || issuer !== undefined))
    throw new KitError('USAGE', `${what}: give --key or an identity, not both`);
  if (key === undefined && identity === undefined)
    throw new KitError('USAGE', `${what}: --certificate-oidc-issuer needs --certificate-identity`);
  if (key === undefined && issuer === undefined) {
    throw new KitError('USAGE', `${what}: --certificate-identity needs --certificate-oidc-issuer`, {
      hint: 'an identity is worth what its issuer is: https://token.actions.githubusercontent.com, https://gitlab.com, https://accounts.google.com ...',
    });
  }
  const hasRequests = key === undefined ? trustedRoot === undefined : key.includes('://') || tufMirror !== undefined;
  if (hasRequests) await useProxy(env);
  const [{ openVerifier: open }, { defaultHome }, path] = await Promise.all([
    import('../../signing/open-verifier.ts'),
    import('../../operations/kit.ts'),
    import('node:path'),
  ]);
  return await open({
    key,
    identity,
    issuer,
    trust: { file: trustedRoot, tufMirror, tufRoot, offline, cache: path.join(defaultHome(env), 'tuf') },
    ignoreLog: flags.insecureIgnoreTlog,
    ignoreSct: flags.insecureIgnoreSct,
    env,
  });
}

/** Whether logs had a say: with a key alone they have none. */
export function describeLogs({
  key,
  trustedRoot,
  tufMirror,
  insecureIgnoreTlog,
}: VerifyFlags): 'checked' | 'not required' | 'not consulted' {
  if (key !== undefined && trustedRoot === undefined && tufMirror === undefined) return 'not consulted';
  return insecureIgnoreTlog === true ? 'not required' : 'checked';
}

/** @throws KitError USAGE */
function wanted(flags: VerifyFlags, name: 'certificateIdentity' | 'certificateOidcIssuer'): string | RegExp | undefined {
  const { [name]: exact, [`${name}Regexp` as const]: pattern } = flags;
  if (pattern === undefined) return exact;
  if (exact !== undefined) throw new KitError('USAGE', `${strayFlag(flags, [name])} is given twice, once as a regular expression`);
  try {
    return new RegExp(pattern, 'u');
  } catch (cause) {
    throw new KitError('USAGE', `\`${pattern}\` is no regular expression: ${(cause as Error).message}`, { cause });
  }
}

/** The services of sigstore are reached by Node's own client: it is to take the same way as that of the registries. */
async function useProxy(env: NodeJS.ProcessEnv): Promise<void> {
  const [{ createKit }, { setGlobalProxyFromEnv }] = await Promise.all([import('../../operations/kit.ts'), import('node:http')]);
  setGlobalProxyFromEnv((await createKit({ env }).network()).env);
}

/** Of the private key, where a variable gives it: an empty one counts. */
export function keyPassword(env: NodeJS.ProcessEnv): string | undefined {
  return env['KIT_KEY_PASSWORD'] ?? env['COSIGN_PASSWORD'];
}

/** @throws KitError USAGE where there is no terminal */
export async function askPassword(question: string): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new KitError('USAGE', 'the private key is encrypted, and there is no terminal to ask for its password', {
      hint: 'set $KIT_KEY_PASSWORD (or $COSIGN_PASSWORD); it may be empty',
    });
  }
  const { ask } = await import('../prompt.ts');
  return await ask(question, { hidden: true });
}

/** @throws KitError USAGE */
export function readAnnotations(pairs: readonly string[] = []): Record<string, string> {
  const found = new Map<string, string>();
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals);
    if (equals < 1) throw new KitError('USAGE', `invalid annotation \`${pair}\``, { hint: 'write it as KEY=VALUE' });
    // one of the two would be forgotten
    if (found.has(name)) throw new KitError('USAGE', `the annotation \`${name}\` is given twice`);
    found.set(name, pair.slice(equals + 1));
  }
  return Object.fromEntries(found);
}
