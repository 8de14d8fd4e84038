import { Command, CommanderError } from 'commander';
import { EXIT, isKitError, KitError } from '../errors.ts';
import { normalizeArguments } from './arguments.ts';
import { COMMANDS, type CommandEntry } from './commands.ts';
import { version } from '../operations/version.ts';
import type { CliContext, OpenContext } from './context.ts';
import { addGlobalOptions, type GlobalFlags, readGlobalFlags } from './options/global.ts';
import { writeStdout } from './render/stdout.ts';

/** Runs one command line and sets the exit status of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  const abort = new AbortController();
  const interrupt = (): void => {
    // a second Ctrl-C does not wait for anything
    process.once('SIGINT', () => process.exit(EXIT.interrupted));
    abort.abort(new KitError('INTERRUPTED', 'interrupted'));
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    process.exitCode = await run(argv, abort.signal);
  } finally {
    process.removeAllListeners('SIGINT');
    process.removeAllListeners('SIGTERM');
  }
}

async function run(argv: readonly string[], signal: AbortSignal): Promise<number> {
  let context: CliContext | undefined;
  let verbose = false;
  try {
    let globals: GlobalFlags = { logLevel: 'info' };
    const program = await buildProgram(argv, async () => {
      const { createContext } = await import('./context.ts');
      return (context = createContext(globals, signal, process.env));
    });
    program.hook('preAction', (_program, command) => {
      globals = readGlobalFlags(command.optsWithGlobals());
      verbose = globals.logLevel === 'debug' || globals.logLevel === 'trace';
    });
    await program.parseAsync(normalizeArguments(argv, program), { from: 'user' });
    return context?.status ?? 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    context?.progressStop();
    const { reportError } = await import('./render/report.ts');
    return reportError(signal.aborted ? signal.reason : toUsageError(error, argv), process.env, verbose);
  } finally {
    await context?.close();
  }
}

/** Only the command that is called is loaded; the others are known by name for the help text, and left out where it is not asked for. */
async function buildProgram(argv: readonly string[], context: OpenContext): Promise<Command> {
  const program = addGlobalOptions(new Command('kit'))
    .description('Pack AI models as OCI artifacts, move them through any registry, unpack what is needed')
    .configureOutput({ outputError: () => {}, writeOut: writeStdout })
    .showSuggestionAfterError(true)
    .version(version().version, '--version', 'show the version')
    .exitOverride();
  const called = calledCommand(argv);
  for (const entry of called === undefined || isHelp(argv) ? COMMANDS : [called]) {
    const command = program
      .command(entry.name)
      .description(entry.summary)
      .exitOverride()
      .configureOutput({ outputError: () => {} });
    if (entry === called) (await entry.load()).register(addGlobalOptions(command), context);
  }
  program.addHelpText('after', '\n`kit COMMAND --help` shows the options of a command, with examples.');
  if (argv.length === 0) program.help();
  return program;
}

const GLOBAL_WITH_VALUE: ReadonlySet<string> = new Set(['--config', '--log-level', '--progress']);

function calledCommand(argv: readonly string[]): CommandEntry | undefined {
  const words = argv.filter((word, index) => !word.startsWith('-') && !GLOBAL_WITH_VALUE.has(argv[index - 1] ?? ''));
  return COMMANDS.find(({ name }) => name === words[isHelp(argv) ? 1 : 0]);
}

function isHelp(argv: readonly string[]): boolean {
  return argv[0] === 'help';
}

function toUsageError(error: unknown, argv: readonly string[]): unknown {
  const isOwn = isKitError(error, 'USAGE') && error.hint === undefined;
  if (!isOwn && !(error instanceof CommanderError)) return error;
  const name = calledCommand(argv)?.name;
  const hint = name === undefined ? '`kit --help` lists the commands' : `\`kit ${name} --help\` shows its arguments and options`;
  if (isOwn) return new KitError(error.code, error.message, { hint, cause: error.cause });
  return new KitError('USAGE', error.message.replace(/^error: /, '').replace('\n(Did', ' (did'), { hint });
}
