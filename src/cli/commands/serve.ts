import type { Command } from 'commander';
import { text as readAll } from 'node:stream/consumers';
import { KitError } from '../../errors.ts';
import { parseLocation } from '../../oci/reference.ts';
import { serve, type ServeArguments } from '../../operations/serve.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { writeStdout } from '../render/stdout.ts';
import { printMessage } from '../render/text.ts';

interface Flags extends FormatFlag {
  readonly addr: string;
  readonly readOnly?: boolean;
  readonly authFile?: string;
  readonly username?: string;
  readonly passwordStdin?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('[target]', 'oci:DIR, an image layout (default: local storage)')
      .option('--addr <host:port>', 'address to listen on; `:PORT` is every address of this machine, port 0 a free one', '127.0.0.1:5000')
      .option('--read-only', 'only pulls')
      .option('--auth-file <file>', 'htpasswd file of the users (bcrypt: `htpasswd -B`)')
      .option('-u, --username <name>', 'one user, whose password comes with --password-stdin')
      .option('--password-stdin', 'read the password of that user from standard input')
      .option('--tls-cert <file>', 'PEM file with the certificate of the server: https')
      .option('--tls-key <file>', 'PEM file with its key'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (target: string | undefined, flags: Flags) => run(target, flags, await context()));
}

const EXAMPLES = `
Serves the OCI distribution API until Ctrl-C or SIGTERM: what kit, skopeo, crane, oras and docker speak.

Examples:
  kit serve
  kit serve oci:./layout --addr :5000 --read-only
  kit serve --addr :5443 --tls-cert server.pem --tls-key server.key --auth-file htpasswd
  echo "$PASSWORD" | kit serve --addr :5000 --username ci --password-stdin`;

async function run(target: string | undefined, flags: Flags, context: CliContext): Promise<void> {
  const server = await serve(context.kit({}), await readArguments(target, flags), context.call);
  if (flags.format === 'json') writeStdout(`${JSON.stringify({ target: server.target, address: server.address, url: server.url })}\n`);
  printMessage(`serving ${server.target} on ${server.url}`);
  await aborted(context.signal);
  await server.close();
}

/** @throws KitError USAGE */
async function readArguments(target: string | undefined, flags: Flags): Promise<ServeArguments> {
  const { tlsCert, tlsKey, username } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new KitError('USAGE', 'https needs both --tls-cert and --tls-key');
  if ((username === undefined) !== (flags.passwordStdin !== true))
    throw new KitError('USAGE', '--username and --password-stdin go together');
  return {
    ...(target !== undefined && { location: parseLocation(target) }),
    address: flags.addr,
    readOnly: flags.readOnly ?? false,
    authFile: flags.authFile,
    credentials: username === undefined ? undefined : { username, password: await readPassword() },
    tls: tlsCert === undefined || tlsKey === undefined ? undefined : { certFile: tlsCert, keyFile: tlsKey },
  };
}

async function readPassword(): Promise<string> {
  const line = (await readAll(process.stdin)).replace(/\r?\n$/, '');
  if (line === '') throw new KitError('USAGE', 'failed to read password from stdin: got empty string');
  return line;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
