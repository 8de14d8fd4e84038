import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { parseByteSize } from '../../oci/byte-size.ts';
import { parseLocation } from '../../oci/reference.ts';
import { gitopsPull, gitopsPush } from '../../operations/gitops/gitops.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { type ConflictFlags, conflictOf } from '../options/conflict.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addGlobalOptions } from '../options/global.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { addVerifyFirstOptions, openVerifyFirst, type VerifyFirstFlags } from '../options/verify-first.ts';
import { singleLine } from '../render/plain-text.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('[command]')
    .usage('push | pull')
    // a name that is not known is told about first
    .allowExcessArguments()
    .allowUnknownOption()
    .addHelpText('after', '\n`kit gitops COMMAND --help` shows the options of a command, with examples.')
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown command \`gitops ${name ?? ''}\``, { hint: 'write `kit gitops push` or `kit gitops pull`' });
    });
  registerPush(command, context);
  registerPull(command, context);
}

interface PushFlags extends FormatFlag, KitFlags {
  readonly source?: string;
  readonly revision?: string;
  readonly git: boolean;
  readonly created?: string;
}

function registerPush(gitops: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addGlobalOptions(gitops.command('push'))
        .description('Push a directory of manifests as a source for Argo CD and Flux')
        .argument('<directory>', 'its content becomes the root of the artifact')
        .argument('<reference>', 'REGISTRY/REPOSITORY[:TAG[,TAG]], or oci:DIR[:tag]')
        .option('--source <url>', 'where the manifests come from (default: the remote `origin` of git)')
        .option('--revision <revision>', 'which state they are, for example main@sha1:COMMIT (default: what git says)')
        .option('--no-git', 'do not ask git')
        .option('--created <time>', 'RFC 3339 time for the manifest (default: $SOURCE_DATE_EPOCH, else none)'),
    ),
  )
    .addHelpText('after', PUSH_EXAMPLES)
    .action(async (directory: string, reference: string, flags: PushFlags) => push(directory, reference, flags, await context()));
}

const PUSH_EXAMPLES = `
One tar+gzip layer: the same files give the same digest. Left out: .git, what .sourceignore names (.gitignore syntax), and what Flux
leaves out by default.

Examples:
  kit gitops push ./deploy ghcr.io/team/deploy:v1
  kit gitops push ./deploy ghcr.io/team/deploy:v1,prod --no-git`;

async function push(directory: string, reference: string, flags: PushFlags, context: CliContext): Promise<void> {
  const created = readCreated(flags.created, context.env['SOURCE_DATE_EPOCH']);
  const result = await gitopsPush(
    context.kit(flags),
    {
      directory,
      destination: parseLocation(reference),
      git: flags.git,
      origin: {
        ...(flags.source !== undefined && { source: flags.source }),
        ...(flags.revision !== undefined && { revision: flags.revision }),
      },
      ...(created !== undefined && { created }),
    },
    context.call,
  );
  const revision = result.revision === undefined ? '' : `, revision ${singleLine(result.revision)}`;
  context.result(flags.format, result, [
    `${result.layer.existed ? 'Already there' : 'Pushed'}: ${count(result.fileCount)} in layer ${result.layer.digest}${revision}`,
    `${result.reference}@${result.digest}`,
  ]);
}

/** @throws KitError USAGE */
function readCreated(flag: string | undefined, epoch: string | undefined): string | undefined {
  if (flag === undefined && !epoch) return undefined;
  const date = flag === undefined ? new Date(/^\d{1,12}$/.test(epoch ?? '') ? Number(epoch) * 1000 : Number.NaN) : new Date(flag);
  if (Number.isNaN(date.getTime())) {
    const name = flag === undefined ? `SOURCE_DATE_EPOCH "${epoch}"` : `value \`${flag}\` for --created`;
    throw new KitError('USAGE', `invalid ${name}`, { hint: 'write a time such as 2026-01-31T12:00:00Z; SOURCE_DATE_EPOCH counts seconds' });
  }
  return date.toISOString().replace('.000Z', 'Z');
}

interface PullFlags extends ConflictFlags, FormatFlag, VerifyFirstFlags {
  readonly dir?: string;
  readonly maxSize?: string;
}

function registerPull(gitops: Command, context: OpenContext): void {
  const command = addNetworkOptions(
    addFormatOption(
      addGlobalOptions(gitops.command('pull'))
        .description('Unpack manifests that kit, `flux push artifact` or `oras push` pushed')
        .argument('<reference>', 'REGISTRY/REPOSITORY[:TAG][@DIGEST], or oci:DIR[:tag]')
        .option('-d, --dir <directory>', 'where to unpack (default: the working directory)')
        .option('-o, --overwrite', 'replace files that are in the way')
        .option('-i, --ignore-existing', 'keep files that are in the way')
        .option('--max-size <size>', 'fail when the files would have more than this in all, for example 1GiB'),
    ),
  )
    .addHelpText('after', PULL_EXAMPLES)
    .action(async (reference: string, flags: PullFlags) => pull(reference, flags, await context()));
  addVerifyFirstOptions(command);
}

const PULL_EXAMPLES = `
Examples:
  kit gitops pull ghcr.io/team/deploy:v1 -d ./deploy
  kit gitops pull ghcr.io/team/deploy:v1 -d ./deploy --verify --key cosign.pub`;

async function pull(reference: string, flags: PullFlags, context: CliContext): Promise<void> {
  const { dir, maxSize } = flags;
  const conflict = conflictOf(flags);
  const source = parseLocation(reference);
  const { kit, admit } = await openVerifyFirst(flags, context);
  const result = await gitopsPull(
    kit,
    {
      source,
      conflict,
      ...(admit && { admit }),
      ...(dir !== undefined && { directory: dir }),
      ...(maxSize !== undefined && { maxBytes: parseByteSize(maxSize, '--max-size') }),
    },
    context.call,
  );
  const revision = result.revision === undefined ? '' : `, revision ${singleLine(result.revision)}`;
  context.result(flags.format, result, [`Unpacked ${count(result.fileCount)} to ${result.directory}${revision}`, result.digest]);
}

function count(files: number): string {
  return `${files} ${files === 1 ? 'file' : 'files'}`;
}
