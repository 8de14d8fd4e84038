import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { generateKeyPair } from '../../operations/sign/generate-key-pair.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { askPassword, keyPassword } from '../options/signing.ts';

type Flags = FormatFlag & { readonly outputKeyPrefix: string };

export function register(command: Command, context: OpenContext): void {
  addFormatOption(command.option('--output-key-prefix <prefix>', 'name of the files, without .key and .pub', 'cosign'))
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => run(flags, await context()));
}

const EXAMPLES = `
Writes a P-256 key pair as cosign does: PREFIX.key, encrypted with a password, and PREFIX.pub. Existing files are never overwritten.
The password is taken from $KIT_KEY_PASSWORD or $COSIGN_PASSWORD, else asked for.

Examples:
  kit generate-key-pair
  kit generate-key-pair --output-key-prefix release`;

async function run({ outputKeyPrefix, format }: Flags, context: CliContext): Promise<void> {
  const result = await generateKeyPair({
    prefix: outputKeyPrefix,
    password: async () => keyPassword(context.env) ?? (await askTwice()),
  });
  context.result(format, result, [`Private key written to ${result.privateKey}`, `Public key written to ${result.publicKey}`]);
}

async function askTwice(): Promise<string> {
  const password = await askPassword('Password for the new private key: ');
  if (password === (await askPassword('The same password again: '))) return password;
  throw new KitError('USAGE', 'the two passwords differ', { hint: 'run the command again' });
}
