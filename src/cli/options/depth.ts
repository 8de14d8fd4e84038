import type { Command } from 'commander';
import { KitError } from '../../errors.ts';

export interface DepthFlag {
  readonly depth?: number;
}

/** For commands that make a Kitfile of what they find. */
export function addDepthOption(command: Command): Command {
  return command.option(
    '--depth <levels>',
    'for the Kitfile, look so many levels into folders that are nothing in particular; -1: an entry for each file (default: 0)',
    readDepth,
  );
}

/** @throws KitError USAGE */
function readDepth(text: string): number {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new KitError('USAGE', `invalid argument for --depth (${text})`, {
    hint: 'it is a number of levels; -1 for an entry for each file',
  });
}
