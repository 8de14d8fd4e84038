import type { Command } from 'commander';
import { text as readAll } from 'node:stream/consumers';
import { KitError } from '../../errors.ts';
import { login } from '../../operations/login.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { ask } from '../prompt.ts';
import { printMessage } from '../render/text.ts';

type Flags = KitFlags & { readonly username?: string; readonly password?: string; readonly passwordStdin?: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    command
      .argument('<registry>', 'HOST[:PORT]')
      .option('-u, --username <name>', 'user name; without one the password is taken for a token')
      .option('-p, --password <password>', 'password or token (others can see it: prefer --password-stdin)')
      .option('--password-stdin', 'read the password from standard input'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (registry: string, flags: Flags) => run(registry, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit login ghcr.io                                            asks for name and password
  echo "$TOKEN" | kit login ghcr.io -u alice --password-stdin`;

async function run(registry: string, flags: Flags, context: CliContext): Promise<void> {
  if (flags.password !== undefined) printMessage('warning: --password is insecure: other users can see it; use --password-stdin instead');
  const password = await readPassword(flags);
  const username = flags.username ?? (password === undefined ? await ask('Username: ') : undefined);
  await login(
    context.kit(flags),
    { registry, password: password ?? (await ask('Password: ', { hidden: true })), ...(username !== undefined && { username }) },
    context.call,
  );
  context.result('text', undefined, ['Log in successful']);
}

/** @throws KitError USAGE */
async function readPassword({ password, passwordStdin }: Flags): Promise<string | undefined> {
  if (passwordStdin !== true) return password === '' ? undefined : password;
  if (password !== undefined) throw new KitError('USAGE', 'cannot use both --password and --password-stdin');
  const line = (await readAll(process.stdin)).replace(/\r?\n$/, '');
  if (line === '') throw new KitError('USAGE', 'failed to read password from stdin: got empty string');
  return line;
}
