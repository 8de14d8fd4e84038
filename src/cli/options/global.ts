import type { Command } from 'commander';
import { KitError } from '../../errors.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export const PROGRESS_STYLES = ['none', 'plain', 'fancy', 'json'] as const;

export interface GlobalFlags {
  readonly config?: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Undefined: bars on a terminal, lines in CI, nothing elsewhere. */
  readonly progress?: (typeof PROGRESS_STYLES)[number];
}

/** Options that every command takes, before or after its name. */
export function addGlobalOptions(command: Command): Command {
  return command
    .option('--config <dir>', "folder of the store and credentials (default: $KIT_HOME, $KITOPS_HOME or the platform's data folder)")
    .option('--log-level <level>', `how much to say: ${LOG_LEVELS.join(', ')}`, 'info')
    .option(
      '--progress <style>',
      `progress on stderr: ${PROGRESS_STYLES.join(', ')} (default: fancy on a terminal, plain in CI, else none)`,
    )
    .option('-v, --verbose', 'say more; repeat for more still', (_value: string, count: number) => count + 1, 0);
}

/** @throws KitError USAGE */
export function readGlobalFlags(options: Readonly<Record<string, unknown>>): GlobalFlags {
  const { config, logLevel, progress, verbose } = options as { config?: string; logLevel: string; progress?: string; verbose: number };
  const level = verbose > 1 ? 'trace' : verbose === 1 ? 'debug' : oneOf('--log-level', logLevel, LOG_LEVELS);
  // `false` and `cherry` are accepted by kit, though not documented
  const style = verbose > 2 || progress === 'false' ? 'none' : progress === 'cherry' ? 'fancy' : progress;
  return {
    ...(config !== undefined && { config }),
    logLevel: level,
    ...(style !== undefined && { progress: oneOf('--progress', style, PROGRESS_STYLES) }),
  };
}

/** @throws KitError USAGE when `value` is none of `choices` */
export function oneOf<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  if ((choices as readonly string[]).includes(value)) return value as T;
  throw new KitError('USAGE', `invalid value \`${value}\` for ${flag}`, { hint: `use one of ${choices.join(', ')}` });
}
