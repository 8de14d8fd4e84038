import type { Command } from 'commander';
import { version } from '../../operations/version.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { printResult } from '../render/text.ts';

export function register(command: Command): void {
  addFormatOption(command)
    .option('--show-update-notifications', 'accepted for compatibility: kit does not look for updates')
    .addHelpText('after', '\nExamples:\n  kit version --format json')
    .action((flags: FormatFlag) => {
      const result = version();
      printResult(flags.format, result, [
        `Version: ${result.version}`,
        `Commit: ${result.commit}`,
        `Built: ${result.built}`,
        `Node version: ${result.node}`,
      ]);
    });
}
