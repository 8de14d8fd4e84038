import { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { Verifier } from '../../signing/verifier.ts';
import type { Signer } from '../../signing/signer.ts';
import { addNetworkOptions, type KitFlags } from './network.ts';
import { oneOf } from './global.ts';
import type { SignatureFormat } from '../../operations/attach-signed.ts';

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

/** @throws KitError USAGE without a key, and what reading it throws */
export async function openSigner({ key }: SignerFlags, env: NodeJS.ProcessEnv): Promise<Signer> {
  if (key === undefined) {
    throw new KitError('USAGE', 'signing needs a key', {
      hint: 'add `--key FILE` (`kit generate-key-pair` makes cosign.key), or `--key env://NAME`; keyless signing is to come',
    });
  }
  const { openKeySigner } = await import('../../signing/private-key.ts');
  return await openKeySigner(key, { env, password: async () => keyPassword(env) ?? (await askPassword('Password for the private key: ')) });
}

/** @throws KitError USAGE without a key, and what reading it throws */
export async function openVerifier({ key }: SignerFlags, env: NodeJS.ProcessEnv, what = 'verify'): Promise<Verifier> {
  if (key === undefined) {
    throw new KitError('USAGE', `${what} needs a key`, {
      hint: 'add `--key FILE` with the public key, such as cosign.pub, or `--key env://NAME`; identities without a key are to come',
    });
  }
  const { openKeyVerifier } = await import('../../signing/key-verifier.ts');
  return await openKeyVerifier(key, env);
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
