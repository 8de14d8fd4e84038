import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ServedContent } from '../../src/server/content.ts';
import { layoutContent } from '../../src/server/layout-content.ts';
import { type ServerOptions, startServer } from '../../src/server/server.ts';
import { storeContent } from '../../src/server/store-content.ts';
import { openLayout } from '../../src/targets/layout.ts';
import { openStore } from '../../src/targets/store.ts';
import type { RunOptions, RunningKit, Sandbox } from './kit.ts';

/** A server of this process over a folder of its own. */
export interface TestServer {
  readonly url: string;
  /** `127.0.0.1:PORT`, as it stands in a reference. */
  readonly host: string;
  readonly port: number;
  /** The image layout in which all is kept. */
  readonly directory: string;
  readonly content: ServedContent;
  /** Stops the server and deletes the folder. */
  close(): Promise<void>;
}

export async function serveStore(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const home = await mkdtemp(join(tmpdir(), 'kit-serve-'));
  const store = await openStore(home);
  return await start(home, store.storage, storeContent(store), options);
}

export async function serveLayout(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const root = await mkdtemp(join(tmpdir(), 'kit-serve-'));
  const layout = await openLayout(join(root, 'layout'), { create: true });
  await layout.make();
  return await start(root, layout.directory, layoutContent(layout), options);
}

async function start(root: string, directory: string, content: ServedContent, options: Partial<ServerOptions>): Promise<TestServer> {
  const server = await startServer(content, { host: '127.0.0.1', port: 0, ...options });
  return {
    url: server.url,
    host: server.url.replace(/^\w+:\/\//, ''),
    port: server.port,
    directory,
    content,
    close: async () => {
      await server.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** A `kit serve` that listens. */
export interface ServingKit {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  readonly url: string;
  readonly run: RunningKit;
  /** Sends the signal and returns how the process ended. */
  stop(signal?: NodeJS.Signals): RunningKit['finished'];
}

/** Starts the built `kit serve` with these arguments on a free port. */
export async function startKitServe(box: Sandbox, args = '', options: RunOptions = {}): Promise<ServingKit> {
  const run = box.start(['serve', ...args.split(' ').filter(Boolean), '--addr', '127.0.0.1:0', '--format', 'json'], options);
  // also when the test fails before it stops the server
  onTestFinished(() => void run.child.kill('SIGKILL'));
  let text = '';
  const listening = new Promise<void>((resolve) => {
    run.child.stdout.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve();
    });
  });
  await Promise.race([listening, once(run.child, 'close')]);
  if (!text.includes('\n')) throw new Error(`kit serve did not start: ${(await run.finished).stderr}`);
  const { address, url } = JSON.parse(text) as { address: string; url: string };
  return {
    address,
    url,
    run,
    stop: (signal = 'SIGTERM') => {
      run.child.kill(signal);
      return run.finished;
    },
  };
}
