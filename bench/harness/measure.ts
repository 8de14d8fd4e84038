import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What one run of something cost. Figures that nobody took are NaN. */
export interface Sample {
  /** Wall time from the start of the process to its end. */
  readonly seconds: number;
  /** User and system time of the process and its children, seconds. */
  readonly cpu: number;
  /** Resident memory at its highest, MiB. */
  readonly peak: number;
  /** Bytes that came from the registry, heads included. */
  readonly received?: number;
  /** HTTP requests that were sent to the registry. */
  readonly requests?: number;
}

export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env?: NodeJS.ProcessEnv;
}

const MARK = 'bench-rusage';
const POLL_MS = 5;
const hasGnuTime = spawnSync('time', ['-q', '-f', MARK, 'true'], { encoding: 'utf8' }).stderr?.trim() === MARK;
/** Run the rest of the command line, then print the mark and what was used on stderr. */
const GNU_TIME = ['time', '-q', '-f', `${MARK} %U %S %M`] as const;
const SHELL_TIMES = ['sh', '-c', `"$@"; status=$?; echo '${MARK}' >&2; times >&2; exit $status`, 'sh'] as const;

let running: ChildProcess | undefined;

/** Two steps that make one: times add up, the peak is the higher. */
export function together(first: Sample, second: Sample): Sample {
  return { seconds: first.seconds + second.seconds, cpu: first.cpu + second.cpu, peak: Math.max(first.peak, second.peak) };
}

/** Ends the command that runs now, if any, with all that it started: its promise rejects. */
export function stopRunning(): void {
  // each is a process group of its own: the kernel's accounting stands between it and us
  if (running?.pid !== undefined && running.exitCode === null && running.signalCode === null) process.kill(-running.pid, 'SIGKILL');
}

/**
 * Runs a command to its end. Written pages go to the disk first, so that one command does not pay for another's. CPU time and peak come from
 * the kernel's accounting by GNU `time` where it is installed, else from the shell's `times` and from /proc while it runs.
 * @throws Error with what it printed, when it fails
 */
export async function measure({ argv, env }: Command): Promise<Sample> {
  spawnSync('sync');
  let polled = Number.NaN;
  const poll = (pid: number | undefined): void => {
    polled = Math.max(polled || 0, childPeak(pid) ?? 0) || Number.NaN;
  };
  const started = performance.now();
  const stderr = hasGnuTime ? await execute(argv, env, GNU_TIME) : await execute(argv, env, SHELL_TIMES, poll);
  const seconds = (performance.now() - started) / 1000;
  const figures = stderr
    .slice(stderr.lastIndexOf(MARK) + MARK.length)
    .trim()
    .split(/\s+/);
  // `times` has a line of the shell itself before that of its children
  const [user = '', system = '', peak] = hasGnuTime ? figures : figures.slice(2);
  return { seconds, cpu: parseTime(user) + parseTime(system), peak: peak === undefined ? polled : Number(peak) / 1024 };
}

/** Runs a command that is not measured. @throws Error with what it printed, when it fails */
export async function run({ argv, env }: Command): Promise<void> {
  await execute(argv, env);
}

/** Reads the files of folders, so that the page cache has them: what comes next is not timed against the disk in one round and not in another. */
export async function warm(...folders: string[]): Promise<void> {
  await run({ argv: ['find', '-L', ...folders, '-type', 'f', '-exec', 'cksum', '{}', '+'] });
}

/** Runs a command and kills it (SIGKILL) once `isDue`. @throws Error when it ended before that */
export async function interrupt({ argv, env = process.env }: Command, isDue: () => boolean): Promise<void> {
  const child = spawn(argv[0], argv.slice(1), { env, stdio: 'ignore', detached: true });
  running = child;
  let isKilled = false;
  const timer = setInterval(() => {
    if (!isKilled && isDue()) isKilled = child.kill('SIGKILL');
  }, POLL_MS);
  const status = await ended(child);
  clearInterval(timer);
  if (!isKilled || status !== 'SIGKILL') throw new Error(`\`${argv.join(' ')}\` ended with ${status} before it could be interrupted`);
}

/** What a command printed on stderr, its end at least. @throws Error with that, when it fails */
async function execute(
  argv: readonly string[],
  env = process.env,
  wrapper: readonly string[] = [],
  poll?: (pid: number | undefined) => void,
): Promise<string> {
  const [program = '', ...args] = [...wrapper, ...argv];
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  running = child;
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-10_000)));
  const timer = poll && setInterval(() => poll(child.pid), POLL_MS);
  const status = await ended(child);
  clearInterval(timer);
  if (status !== 0) throw new Error(`\`${argv.join(' ')}\` ended with ${status}: ${stderr.split(MARK)[0]?.trim()}`);
  return stderr;
}

/** Exit code, or name of the signal; rejects when it cannot be started. */
async function ended(child: ChildProcess): Promise<number | string> {
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing'));
  });
}

/** `0.42`, or `0m0.420s` as shells write it. */
function parseTime(text: string): number {
  const [, minutes = '0', seconds = ''] = /^(?:(\d+)m)?([\d.]+)s?$/.exec(text) ?? [];
  return seconds === '' ? Number.NaN : Number(minutes) * 60 + Number(seconds);
}

/** High-water mark of what the shell runs, MiB; undefined when it is gone, or without /proc. */
function childPeak(shell: number | undefined): number | undefined {
  try {
    const child = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(' ')[0];
    const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
  } catch {
    return undefined;
  }
}
