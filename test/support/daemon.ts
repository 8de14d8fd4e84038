import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface DaemonOptions {
  readonly command: string;
  /** Writes what the program reads into its new folder, and says how to call it. */
  readonly prepare: (directory: string) => Promise<readonly string[]>;
  readonly env?: Readonly<Record<string, string>>;
  /** Answers any request when the program is ready. */
  readonly url: string;
}

export interface Daemon {
  readonly directory: string;
  /** What it wrote to stderr and stdout. */
  log(): Promise<string>;
  /** Ends it and removes its folder. */
  close(): Promise<void>;
}

/** Starts a program with a folder of its own, and waits until it listens. */
export async function startDaemon({ command, prepare, env, url }: DaemonOptions): Promise<Daemon> {
  const directory = await mkdtemp(join(tmpdir(), 'daemon-'));
  const args = await prepare(directory);
  const output: Buffer[] = [];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: directory, env: { ...process.env, ...env } });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void output.push(chunk));
  const exited = once(child, 'exit');
  const close = async () => {
    // SIGTERM, as a program with workers takes them along; then for good
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await exited;
    clearTimeout(timer);
    await rm(directory, { recursive: true, force: true });
  };
  const log = async () => Buffer.concat(output).toString() + (await readFile(join(directory, 'error.log'), 'utf8').catch(() => ''));
  try {
    await untilListening(url, () => child.exitCode !== null);
  } catch (cause) {
    const text = await log();
    await close();
    throw new Error(`${command} does not start: ${text}`, { cause });
  }
  return { directory, log, close };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilListening(url: string, hasExited: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await (await fetch(url)).arrayBuffer();
      return;
    } catch (error) {
      // a server that speaks TLS with an unknown authority listens, too
      if (/certificate|self-signed/.test(String((error as Error).cause))) return;
      if (hasExited() || Date.now() > deadline) throw error;
      // a poll, bounded by the deadline
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
