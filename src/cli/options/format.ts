import type { Command } from 'commander';
import { oneOf } from './global.ts';

export interface FormatFlag {
  readonly format: string;
}

/** For commands whose result is data. */
export function addFormatOption(command: Command): Command {
  return command.option('--format <format>', 'output: text, json', (value: string) => oneOf('--format', value, ['text', 'json']), 'text');
}
