import fs from 'node:fs';
import promises from 'node:fs/promises';
import net from 'node:net';
import { isMainThread, Worker } from 'node:worker_threads';

// Loaded into a `kit` by NODE_OPTIONS: counts what the process does to files and sockets, and kills it with SIGKILL just before the call
// number $CRASH_AT; a file that is written at one go is torn in half first. $CRASH_COUNT names a file that gets the count at the end.

type Method = (...args: unknown[]) => unknown;
type Tear = (path: string, half: Uint8Array, options: unknown) => void;

const { env } = process;
const at = Number(env['CRASH_AT'] ?? Number.POSITIVE_INFINITY);
const { appendFileSync, writeFileSync } = fs;
let calls = 0;

const TEARS: Readonly<Record<string, Tear>> = {
  writeFile: (path, half, options) => writeFileSync(path, half, options as fs.WriteFileOptions),
  appendFile: (path, half) => appendFileSync(path, half),
};

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // the signal is on its way: nothing may be done meanwhile
  for (;;);
}

/** Opening a file to read changes nothing. */
function isReading(name: string, flags: unknown): boolean {
  return name.startsWith('open') && (flags === undefined || flags === 'r' || (typeof flags === 'number' && (flags & 3) === 0));
}

function wrap(object: object, name: string): void {
  const methods = object as Record<string, Method>;
  const call = methods[name] as Method;
  methods[name] = function counted(this: unknown, ...args: unknown[]): unknown {
    if (!isReading(name, args[1])) {
      calls += 1;
      const [path, data, options] = args;
      if (calls >= at && typeof path === 'string' && (typeof data === 'string' || data instanceof Uint8Array)) {
        const bytes = Buffer.from(data);
        TEARS[name]?.(path, bytes.subarray(0, bytes.byteLength >> 1), options);
      }
      if (calls >= at) die();
    }
    return call.apply(this, args);
  };
}

if (isMainThread) {
  for (const name of ['open', 'mkdir', 'rename', 'link', 'unlink', 'rm', 'truncate', 'chmod', 'copyFile', 'writeFile', 'appendFile']) {
    wrap(promises, name);
    wrap(fs, `${name}Sync`);
  }
  wrap(net.Socket.prototype, '_writeGeneric');
  // large writes, and hashes, are asked of threads
  wrap(Worker.prototype, 'postMessage');

  // the methods of open files: their class is not exported
  const { open } = promises;
  let isWrapped = false;
  promises.open = async (...args) => {
    const handle = await open(...args);
    if (!isWrapped) {
      isWrapped = true;
      const prototype = Object.getPrototypeOf(handle) as object;
      for (const name of ['writev', 'datasync', 'sync', 'truncate', 'chmod', 'writeFile']) wrap(prototype, name);
    }
    return handle;
  };

  process.on('exit', () => {
    if (env['CRASH_COUNT'] !== undefined) writeFileSync(env['CRASH_COUNT'], String(calls));
  });
}
