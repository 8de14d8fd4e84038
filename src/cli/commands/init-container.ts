import { Command, CommanderError } from 'commander';
import { KitError } from '../../errors.ts';
import { normalizeArguments } from '../arguments.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addGlobalOptions } from '../options/global.ts';
import { register as registerUnpack } from './unpack.ts';

export function register(command: Command, context: OpenContext): void {
  command.addHelpText('after', CONTRACT).action(async () => run(await context()));
}

const CONTRACT = `
The environment says what to do, as for KitOps' kitops-init image:
  MODELKIT_REF               what to unpack (required)
  UNPACK_PATH                where to (default: /home/user/modelkit/)
  UNPACK_FILTER              which parts (default: model)
  EXTRA_FLAGS                more flags of \`kit unpack\`, split at blanks (default: --ignore-existing)
  COSIGN_KEY                 unpack only what is signed with this public key
  COSIGN_CERT_IDENTITY and
  COSIGN_CERT_OIDC_ISSUER    unpack only what this identity signed

Exit status as of \`kit unpack\`: 6 when a signature or a digest is wrong, and then nothing is written.

Examples:
  MODELKIT_REF=ghcr.io/team/model:v1 UNPACK_PATH=/models kit init-container`;

/** Unpacks by `kit unpack` itself, so that all that holds there holds here. */
async function run(context: CliContext): Promise<void> {
  const words = unpackArguments(context.env);
  const program = new Command('kit').exitOverride();
  const unpack = addGlobalOptions(program.command('unpack'))
    .exitOverride()
    .configureOutput({ outputError: () => {}, writeOut: () => {} });
  registerUnpack(unpack, async () => await Promise.resolve(context));
  try {
    await program.parseAsync(normalizeArguments(words, program), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new KitError('USAGE', `$EXTRA_FLAGS: ${error.message.replace(/^error: /, '')}`, {
      cause: error,
      hint: '`kit unpack --help` shows the flags that it may hold',
    });
  }
}

/** @throws KitError USAGE */
function unpackArguments(env: NodeJS.ProcessEnv): string[] {
  const reference = env['MODELKIT_REF'];
  if (!reference)
    throw new KitError('USAGE', 'the environment variable $MODELKIT_REF is required', { hint: 'set it to REGISTRY/REPOSITORY:TAG' });
  const extra = (env['EXTRA_FLAGS'] ?? '').split(/\s+/).filter((word) => word !== '');
  // the store is opened by the options of this command
  if (extra.some((flag) => flag.startsWith('--config'))) {
    throw new KitError('USAGE', '$EXTRA_FLAGS: --config is not taken here', { hint: 'set $KIT_HOME, or give it to `kit init-container`' });
  }
  const hasDirectory = extra.some((flag) => flag.startsWith('-d') || flag.startsWith('--dir'));
  return [
    'unpack',
    reference,
    ...(hasDirectory ? [] : ['--dir', env['UNPACK_PATH'] || '/home/user/modelkit/']),
    `--filter=${env['UNPACK_FILTER'] || 'model'}`,
    ...(extra.length === 0 ? ['--ignore-existing'] : extra),
    ...signatureFlags(env),
  ];
}

/** @throws KitError USAGE where half an identity is given: to unpack without a check is not what was meant */
function signatureFlags(env: NodeJS.ProcessEnv): string[] {
  const key = env['COSIGN_KEY'];
  if (key) return ['--verify', '--key', key];
  const identity = env['COSIGN_CERT_IDENTITY'];
  const issuer = env['COSIGN_CERT_OIDC_ISSUER'];
  if (!identity && !issuer) return [];
  if (!identity || !issuer) {
    throw new KitError('USAGE', '$COSIGN_CERT_IDENTITY and $COSIGN_CERT_OIDC_ISSUER go together', { hint: 'set both, or neither' });
  }
  return ['--verify', `--certificate-identity=${identity}`, `--certificate-oidc-issuer=${issuer}`];
}
