import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { remove, removeAll, removeRemote, type RemoveResult } from '../../operations/store/remove.ts';
import { parseReference } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';

type Flags = FormatFlag & KitFlags & { readonly force?: boolean; readonly all?: boolean; readonly remote?: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('[reference]', '[registry/]repository[:tag[,tag...]][@digest]')
        .option('-f, --force', 'remove the ModelKit with all tags that refer to it; with --all every ModelKit')
        .option('-a, --all', 'remove all ModelKits without a tag, and what broken downloads left')
        .option('-r, --remote', 'remove from the registry'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string | undefined, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit remove mymodel:v1                       the tag; the ModelKit too if it was the last one
  kit remove mymodel@sha256:...               a ModelKit with all its tags
  kit remove mymodel:v1,v2,v3
  kit remove --all                            everything without a tag
  kit remove --remote ghcr.io/team/mymodel:v1`;

async function run(reference: string | undefined, flags: Flags, context: CliContext): Promise<void> {
  checkFlags(reference, flags);
  const kit = context.kit(flags);
  const options = { force: flags.force === true };
  const result =
    reference === undefined
      ? await removeAll(kit, options, context.call)
      : flags.remote === true
        ? await removeRemote(kit, parseReference(reference), context.call)
        : await remove(kit, parseReference(reference), options, context.call);
  const failed = result.failed.map(({ reference: name, error }) => ({ reference: name, code: error.code, message: error.message }));
  context.result(flags.format, { ...result, failed }, describe(result, reference === undefined));
  if (result.failed.length > 0) {
    const { reportError } = await import('../render/report.ts');
    for (const { error } of result.failed) reportError(error, context.env);
    throw new KitError('IO_FAILED', `${result.failed.length} of ${result.failed.length + result.removed.length} could not be removed`, {
      hint: 'each of them is named above, with why',
    });
  }
}

function checkFlags(reference: string | undefined, flags: Flags): void {
  if (flags.remote === true && (flags.force === true || flags.all === true))
    throw new KitError('USAGE', 'cannot use --all or --force with --remote');
  if (reference === undefined && flags.all !== true)
    throw new KitError('USAGE', 'modelkit is required for remove unless --all is specified');
  if (reference !== undefined && flags.all === true)
    throw new KitError('USAGE', 'modelkit should not be specified when --all flag is used');
}

function describe({ removed }: RemoveResult, all: boolean): string[] {
  if (all) return removed.map(({ reference, outcome }) => `${outcome === 'untagged' ? 'Untagged' : 'Removed'} ${reference}`);
  return removed.map(({ reference, digest }) => `Removed ${reference} (digest ${digest})`);
}
