import { addAbortSignal } from 'node:stream';
import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { load, type Loaded } from '../../operations/transfer/load.ts';
import { parseReference } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';

interface LoadFlags extends FormatFlag {
  readonly input?: string;
  readonly name?: string;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .option('-i, --input <file>', 'an OCI archive of `kit save`, skopeo, docker, nerdctl ...; - is standard input (the default)')
      .option('-n, --name <name>', 'REPOSITORY[:TAG] to load it as, instead of the names that the archive has inside'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (flags: LoadFlags) => run(flags, await context()));
}

const EXAMPLES = `
Examples:
  kit load -i mymodel.tar
  kit load -i theirs.tar --name mymodel:v1     whatever it is called inside
  ssh lab kit save mymodel:v1 | kit load`;

async function run(flags: LoadFlags, context: CliContext): Promise<void> {
  const { input = '-' } = flags;
  if (input === '-' && process.stdin.isTTY)
    throw new KitError('USAGE', 'an archive is not read from a terminal', {
      hint: 'name a file with `-i FILE`, or send it through a pipe',
    });
  const name = flags.name === undefined ? {} : { name: parseReference(flags.name) };
  // a read that waits for input ends with the signal
  const source = input === '-' ? { name: 'standard input', bytes: addAbortSignal(context.signal, process.stdin) } : input;
  const loaded = await load(context.kit({}), { input: source, ...name }, context.call);
  context.result(flags.format, loaded, loaded.map(describe));
}

function describe({ reference, digest }: Loaded): string {
  return reference === undefined ? `Loaded ${digest}` : `Loaded ${reference} ${digest}`;
}
