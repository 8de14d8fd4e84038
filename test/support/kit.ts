import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const PROGRAM = join(ROOT, 'bin', 'kit.js');
/** The golden artifacts. */
export const GOLDEN = join(ROOT, 'fixtures', 'golden');

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the root of the sandbox. */
  readonly cwd?: string;
  readonly stdin?: string;
  /** Runs as this user; needs root. */
  readonly uid?: number;
}

/** What a command line did. Temporary paths and ports are masked, so that it can be compared. */
export interface KitRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

// snapshots of a run read as a terminal does, with digests cut
expect.addSnapshotSerializer({
  test: (value: unknown) => typeof value === 'object' && value !== null && 'status' in value && 'stdout' in value && 'stderr' in value,
  serialize: (value: unknown) => {
    const { status, stdout, stderr } = value as KitRun;
    const streams = Object.entries({ stdout, stderr }).filter(([, text]) => text !== '');
    const shown = streams.map(
      ([name, text]) => `\n--- ${name}\n${text.replace(/\n$/, '').replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…')}`,
    );
    return `exit ${status}${shown.join('')}`;
  },
});

/** A `kit` that is still running. */
export interface RunningKit {
  readonly child: ChildProcessWithoutNullStreams;
  readonly finished: Promise<KitRun>;
  /** Resolves with the first event of `--progress json` that matches; rejects when the process ends before. */
  event(matches: (event: Readonly<Record<string, unknown>>) => boolean): Promise<void>;
}

/** A temporary folder with a storage of its own; it goes away when the test ends. */
export interface Sandbox {
  readonly root: string;
  readonly home: string;
  path(...parts: string[]): string;
  /** Writes files by path below the root: mode 644, or 755 where the content begins with `#!`. */
  write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void>;
  /** Runs the built `kit`; a text is split at blanks. */
  kit(args: string | readonly string[], options?: RunOptions): Promise<KitRun>;
  start(args: string | readonly string[], options?: RunOptions): RunningKit;
  /** As `kit`, for steps that must work: stdout, or an error with everything that was printed. */
  ok(args: string | readonly string[], options?: RunOptions): Promise<string>;
  /** Everything below a folder, sorted; folders end in `/`. */
  tree(folder: string): Promise<string[]>;
}

export async function sandbox(): Promise<Sandbox> {
  const root = await mkdtemp(join(tmpdir(), 'kit-e2e-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const path = (...parts: string[]) => join(root, ...parts);
  const home = path('home');
  const start: Sandbox['start'] = (args, options = {}) => startKit(root, home, typeof args === 'string' ? args.split(' ') : args, options);
  const kit: Sandbox['kit'] = async (args, options) => await start(args, options).finished;
  return {
    root,
    home,
    path,
    start,
    kit,
    async write(files) {
      for (const [name, content] of Object.entries(files)) {
        const file = path(name);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, content);
        // the umask of whoever runs the tests must not show in a layer
        await chmod(file, String(content).startsWith('#!') ? 0o755 : 0o644);
        for (let folder = dirname(file); folder !== root; folder = dirname(folder)) await chmod(folder, 0o755);
      }
    },
    async ok(args, options) {
      const run = await kit(args, options);
      if (run.status !== 0) throw new Error(`kit ${String(args)} ended with ${run.status}\n${run.stderr}${run.stdout}`);
      return run.stdout;
    },
    tree: async (folder) => await listTree(path(folder)),
  };
}

/** `fixtures/golden/input` as it was packed: the empty folder and the modes, which git does not keep. */
export async function copyGoldenInput(to: string): Promise<void> {
  await cp(join(GOLDEN, 'input'), to, { recursive: true });
  await mkdir(join(to, 'src', 'empty'));
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    await chmod(path, entry.isDirectory() || entry.name === 'run.sh' ? 0o755 : 0o644);
  }
}

function startKit(root: string, home: string, args: readonly string[], options: RunOptions): RunningKit {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd: options.cwd ?? root,
    // nothing else of this machine's environment is seen
    env: { PATH: process.env['PATH'], HOME: root, KIT_HOME: home, NO_COLOR: '1', ...options.env },
    ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
  });
  const output = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
      for (const look of watchers) look();
    });
  }
  // a program that ends early does not read its input
  child.stdin.on('error', () => {});
  child.stdin.end(options.stdin ?? '');
  const closed = once(child, 'close');
  const finished = closed.then(([status]): KitRun => ({
    status: status as number | null,
    stdout: mask(output.stdout, root),
    stderr: mask(output.stderr, root),
  }));
  const event: RunningKit['event'] = async (matches) => {
    let seen = 0;
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const lines = output.stderr.split('\n').slice(0, -1);
        const found = lines.slice(seen).some((line) => line.startsWith('{') && matches(JSON.parse(line) as Record<string, unknown>));
        seen = lines.length;
        if (!found) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
      void closed.then(() => reject(new Error(`kit ended before the event: ${output.stderr}`)));
    });
  };
  return { child, finished, event };
}

function mask(text: string, root: string): string {
  return text.replaceAll(root, '<TMP>').replaceAll(/\b(127\.0\.0\.1|localhost):[1-9]\d{4}\b/g, '$1:55555');
}

async function listTree(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    names.push((await lstat(join(folder, name))).isDirectory() ? `${name}/` : name);
  }
  return names.toSorted();
}
