import type { Command } from 'commander';
import type { Bytes } from '../../blob-source.ts';
import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import { save, type Saved } from '../../operations/transfer/save.ts';
import { parseReference } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { writeStdoutBytes } from '../render/stdout-bytes.ts';

interface SaveFlags extends FormatFlag, KitFlags {
  readonly output?: string;
  readonly referrers?: boolean;
  readonly base?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<reference...>', 'ModelKits in local storage, else in their registry')
        .option('-o, --output <file>', 'the archive; - is standard output (the default, unless that is a terminal)')
        .option('-r, --referrers', 'with signatures, attestations, SBOMs and what else refers to them')
        .option('--no-base', 'without the ModelKits that they are based on'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (references: readonly string[], flags: SaveFlags) => run(references, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit save mymodel:v1 -o mymodel.tar
  kit save --referrers ghcr.io/team/mymodel:v1 ghcr.io/team/other:v2 -o models.tar
  kit save mymodel:v1 | ssh airgap kit load
  skopeo inspect oci-archive:mymodel.tar:mymodel:v1                another tool reads it`;

async function run(references: readonly string[], flags: SaveFlags, context: CliContext): Promise<void> {
  const { output = '-', referrers = false, base = true } = flags;
  const isStdout = output === '-';
  if (isStdout && process.stdout.isTTY)
    throw new KitError('USAGE', 'an archive is not written to a terminal', { hint: 'name a file with `-o FILE`, or send it to a pipe' });
  if (isStdout && flags.format === 'json')
    throw new KitError('USAGE', '--format json needs standard output, which the archive takes', { hint: 'name a file with `-o FILE`' });
  const saved = await save(
    context.kit(flags),
    { references: references.map(parseReference), output: isStdout ? writeAll : output, referrers, bases: base },
    context.call,
  );
  if (!isStdout) context.result(flags.format, saved, saved.map(describe));
}

async function writeAll(archive: Bytes): Promise<void> {
  for await (const chunk of archive) {
    await writeStdoutBytes(chunk);
    releaseChunk(chunk);
  }
}

function describe({ reference, digest, neededBy }: Saved): string {
  return `Saved ${reference} ${digest}${neededBy === undefined ? '' : ` (needed by ${neededBy})`}`;
}
