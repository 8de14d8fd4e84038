import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { cacheInfo, clearCache } from '../../operations/store/cache.ts';
import type { OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addGlobalOptions } from '../options/global.ts';
import { formatBytes } from '../render/text.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('[command]')
    .usage('info | clear')
    .addHelpText('after', EXAMPLES)
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown command \`cache ${name ?? ''}\``, { hint: 'write `kit cache info` or `kit cache clear`' });
    });
  addFormatOption(addGlobalOptions(command.command('info')).description('Show what the cache takes')).action(async (flags: FormatFlag) => {
    const cli = await context();
    const { bytes, entries, ...info } = await cacheInfo(cli.kit({}));
    const width = Math.max(0, ...entries.map(({ name }) => name.length));
    const lines = [
      `Total size of cache directory: ${formatBytes(bytes)}`,
      'Cache contents:',
      ...entries.map((entry) => `  ./${entry.name.padEnd(width)}    ${formatBytes(entry.bytes)}`),
    ];
    cli.result(flags.format, { ...info, bytes, entries }, bytes === 0 ? ['Cache is currently empty'] : lines);
  });
  addFormatOption(addGlobalOptions(command.command('clear')).description('Clear the cache')).action(async (flags: FormatFlag) => {
    const cli = await context();
    cli.result(flags.format, await clearCache(cli.kit({})), []);
  });
}

const EXAMPLES = `
The cache saves time: everything works without it. What is stored is not in it: \`kit store prune\` is for that.

Examples:
  kit cache info
  kit cache clear`;
