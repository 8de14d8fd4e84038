import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { parseLocation } from '../../oci/reference.ts';
import { checkStore, requireSound } from '../../operations/store/check.ts';
import { storeInfo } from '../../operations/store/info.ts';
import { pruneStore } from '../../operations/store/prune.ts';
import type { OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addGlobalOptions } from '../options/global.ts';
import { checkLines, infoLines, pruneLines } from '../render/store-text.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('[command]')
    .usage('check | prune | info')
    .addHelpText('after', '\n`kit store COMMAND --help` shows the options of a command, with examples.')
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown command \`store ${name ?? ''}\``, { hint: 'write `kit store check`, `prune` or `info`' });
    });
  registerCheck(command, context);
  registerPrune(command, context);
  registerInfo(command, context);
}

function registerCheck(store: Command, context: OpenContext): void {
  interface Flags extends FormatFlag {
    readonly quick?: boolean;
    readonly repair?: boolean;
  }
  addFormatOption(
    addGlobalOptions(store.command('check'))
      .description('Verify every manifest, reference and blob of local storage, or of an image layout')
      .argument('[layout]', 'oci:DIR (default: local storage)')
      .option('--quick', 'do not read the blobs: look for them, and at their sizes')
      .option('--repair', 'rebuild broken lists, drop entries without a manifest, move damaged blobs aside, remove leftovers'),
  )
    .addHelpText('after', CHECK_EXAMPLES)
    .action(async (layout: string | undefined, flags: Flags) => {
      const cli = await context();
      const args = {
        ...(layout !== undefined && { layout: parseLocation(layout) }),
        quick: flags.quick === true,
        repair: flags.repair === true,
      };
      const found = await checkStore(cli.kit({}), args, cli.call);
      cli.result(flags.format, found, checkLines(found));
      requireSound(found);
    });
}

const CHECK_EXAMPLES = `
Exit status 6: an artifact is damaged. Leftovers and other notes alone: 0.
Without --repair nothing is changed.

Examples:
  kit store check
  kit store check --quick
  kit store check oci:./layout --format json
  kit store check --repair && kit pull ghcr.io/team/mymodel:v1`;

function registerPrune(store: Command, context: OpenContext): void {
  interface Flags extends FormatFlag {
    readonly dryRun?: boolean;
    readonly keepUntagged?: boolean;
    readonly partials?: boolean;
    readonly olderThan?: number;
  }
  addFormatOption(
    addGlobalOptions(store.command('prune'))
      .description('Remove what no tag reaches: ModelKits without a tag, blobs, leftovers, stale cache entries')
      .option('-n, --dry-run', 'only say what would go')
      .option('--keep-untagged', 'keep ModelKits without a tag, with all that they need')
      .option('--partials', 'also remove downloads that were broken off and could be resumed')
      .option('--older-than <age>', 'only what was written longer ago, for example 30m, 12h, 7d or 2w', readAge),
  )
    .addHelpText('after', PRUNE_EXAMPLES)
    .action(async (flags: Flags) => {
      const cli = await context();
      const args = {
        dryRun: flags.dryRun === true,
        keepUntagged: flags.keepUntagged === true,
        partials: flags.partials === true,
        ...(flags.olderThan !== undefined && { olderThanMs: flags.olderThan }),
      };
      const pruned = await pruneStore(cli.kit({}), args, cli.call);
      cli.result(flags.format, pruned, pruneLines(pruned));
    });
}

const PRUNE_EXAMPLES = `
Signatures, SBOMs and what else is about a ModelKit that stays, stay. While another process adds to the store, nothing is removed.

Examples:
  kit store prune --dry-run
  kit store prune --older-than 7d
  kit store prune --keep-untagged --partials`;

function registerInfo(store: Command, context: OpenContext): void {
  addFormatOption(
    addGlobalOptions(store.command('info')).description('Show where local storage is, what it holds, and who is at work in it'),
  )
    .addHelpText('after', INFO_EXAMPLES)
    .action(async (flags: FormatFlag) => {
      const cli = await context();
      const info = await storeInfo(cli.kit({}), cli.call);
      cli.result(flags.format, info, infoLines(info));
    });
}

const INFO_EXAMPLES = `
Examples:
  kit store info
  kit store info --format json | jq .reclaimable`;

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** @throws KitError USAGE */
function readAge(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (number !== undefined && unit !== undefined) return Number(number) * (UNIT_MS[unit] ?? 0);
  throw new KitError('USAGE', `invalid value \`${text}\` for --older-than`, { hint: 'write a number and a unit: 30m, 12h, 7d, 2w' });
}
