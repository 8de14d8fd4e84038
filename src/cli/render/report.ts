import { Chalk, supportsColorStderr } from 'chalk';
import { EXIT, KitError } from '../../errors.ts';
import { DEFAULT_HINTS } from './default-hint.ts';
import { printMessage } from './text.ts';

/** Prints what went wrong and returns the exit status. The only place that does. */
export function reportError(error: unknown, env: NodeJS.ProcessEnv, verbose = false): number {
  const color = new Chalk({ level: env['NO_COLOR'] || !supportsColorStderr ? 0 : supportsColorStderr.level });
  if (isAbort(error)) {
    printMessage(`${color.red('error')}: interrupted`);
    return EXIT.interrupted;
  }
  if (!(error instanceof KitError)) {
    printMessage(`${color.red('error')}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    printMessage(`\n${color.cyan('hint')}: this is a defect of kit; please report it with the text above`);
    return EXIT.internal;
  }
  const side = error.origin === undefined ? '' : ` (${error.origin})`;
  printMessage(`${color.red('error')}: ${error.message}${verbose ? ` [${error.code}]` : ''}${side}`);
  if (verbose) for (let { cause } = error; cause instanceof Error; { cause } = cause) printMessage(`  caused by: ${cause.message}`);
  const hint = error.hint ?? (error.code === 'INTERRUPTED' ? undefined : DEFAULT_HINTS[error.code]);
  if (hint !== undefined) printMessage(`\n${color.cyan('hint')}: ${hint}`);
  return error.exitCode;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || (error instanceof KitError && error.code === 'INTERRUPTED'));
}
