// Pack, push, pull and unpack of a model in several files, beside cp, sha256sum and another `kit` where one is on PATH.
//   node bench/transfer.ts [--size 3GiB] [--files 4] [--runs 3] [--peer kit]
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseByteSize } from '../src/oci/byte-size.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1GiB' },
    files: { type: 'string', default: '4' },
    runs: { type: 'string', default: '3' },
    peer: { type: 'string', default: 'kit' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const size = parseByteSize(values.size, '--size');
const count = Number(values.files);
const runs = Number(values.runs);
const work = mkdtempSync(join(values.dir, 'kit-bench-'));
const model = join(work, 'model');
const ours = [process.execPath, join(import.meta.dirname, '..', 'bin', 'kit.js')];

interface Measured {
  readonly seconds: number;
  /** Resident memory at its highest, MiB. */
  readonly peak: number;
}

function writeModel(): void {
  mkdirSync(join(model, 'weights'), { recursive: true });
  const buffer = Buffer.allocUnsafe(8 * 1024 * 1024);
  for (let file = 0; file < count; file++) {
    const fd = openSync(join(model, 'weights', `model-${file + 1}-of-${count}.safetensors`), 'w');
    for (let left = Math.floor(size / count); left > 0; left -= buffer.byteLength) {
      writeSync(fd, randomFillSync(buffer), 0, Math.min(left, buffer.byteLength));
    }
    closeSync(fd);
  }
  const parts = Array.from({ length: count }, (_, file) => `    - path: weights/model-${file + 1}-of-${count}.safetensors\n`).slice(1);
  writeFileSync(
    join(model, 'Kitfile'),
    `manifestVersion: 1.0.0\npackage: {name: bench}\nmodel:\n  path: weights/model-1-of-${count}.safetensors\n${parts.length > 0 ? `  parts:\n${parts.join('')}` : ''}`,
  );
}

/** Runs a command to its end; the peak is read from the kernel while it runs. */
async function measure(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Measured> {
  const started = performance.now();
  const child = spawn(command[0] as string, command.slice(1), { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, readPeak(child))), 20);
  const status = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${String(status)}: ${stderr}`);
  return { seconds: (performance.now() - started) / 1000, peak };
}

function readPeak({ pid }: ChildProcess): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function startRegistry(): Promise<{ host: string; stop: () => void }> {
  const port = await freePort();
  const config = join(work, 'registry.yml');
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${join(work, 'registry')}}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  while (
    !(await fetch(`http://127.0.0.1:${port}/v2/`).then(
      (r) => r.ok,
      () => false,
    ))
  )
    await new Promise((resolve) => setTimeout(resolve, 50));
  return { host: `localhost:${port}`, stop: () => child.kill() };
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;

interface Subject {
  readonly name: string;
  readonly command: readonly string[];
  readonly home: string;
}

const rows: string[][] = [];
const results = new Map<string, Measured[]>();
const note = (key: string, measured: Measured): void => void results.set(key, [...(results.get(key) ?? []), measured]);

writeModel();
const registry = await startRegistry();
const hasPeer = spawnSync(values.peer, ['version']).status === 0;
const subjects: Subject[] = [
  { name: 'ours', command: ours, home: 'KIT_HOME' },
  ...(hasPeer ? [{ name: 'peer', command: [values.peer], home: 'KITOPS_HOME' }] : []),
];
try {
  for (let run = -1; run < runs; run++) {
    // the first round warms the caches and is not counted
    const keep = run >= 0 ? note : () => {};
    rmSync(join(work, 'copy'), { recursive: true, force: true });
    keep('limit cp', await measure(['cp', '-r', model, join(work, 'copy')], process.env));
    const files = Array.from({ length: count }, (_, file) => join(model, 'weights', `model-${file + 1}-of-${count}.safetensors`));
    keep('limit sha256sum', await measure(['sha256sum', ...files], process.env));
    for (const { name, command, home } of subjects) {
      const reference = `${registry.host}/bench/${name}-${run + 1}:v1`;
      const folder = (part: string): string => join(work, `${name}-${part}`);
      for (const part of ['a', 'b', 'out']) rmSync(folder(part), { recursive: true, force: true });
      for (const part of ['a', 'b']) {
        mkdirSync(folder(part), { recursive: true });
        writeFileSync(join(folder(part), 'disable-update-notifications'), '');
      }
      const env = (part: string): NodeJS.ProcessEnv => ({ ...process.env, [home]: folder(part), CI: '1' });
      keep(`${name} pack`, await measure([...command, 'pack', model, '-t', reference], env('a')));
      keep(`${name} push`, await measure([...command, 'push', '--plain-http', reference], env('a')));
      keep(`${name} pull`, await measure([...command, 'pull', '--plain-http', reference], env('b')));
      keep(`${name} unpack`, await measure([...command, 'unpack', reference, '-d', folder('out')], env('b')));
      rmSync(folder('out'), { recursive: true, force: true });
      keep(
        `${name} unpack --plain-http (from the registry)`,
        await measure([...command, 'unpack', '--plain-http', reference, '-d', folder('out')], env('c')),
      );
      for (const part of ['a', 'b', 'c', 'out']) rmSync(folder(part), { recursive: true, force: true });
      rmSync(join(work, 'registry', 'docker', 'registry', 'v2', 'repositories', 'bench', `${name}-${run + 1}`), {
        recursive: true,
        force: true,
      });
      rmSync(join(work, 'registry', 'docker', 'registry', 'v2', 'blobs'), { recursive: true, force: true });
    }
  }
} finally {
  registry.stop();
  rmSync(work, { recursive: true, force: true });
}

const seconds = (key: string): number => median((results.get(key) ?? []).map((one) => one.seconds));
const ratio = (key: string, to: string): string => (results.has(to) ? `${(seconds(key) / seconds(to)).toFixed(2)}x` : '-');
for (const key of results.keys()) {
  const step = key.slice(key.indexOf(' ') + 1);
  const peak = Math.max(...(results.get(key) ?? []).map((one) => one.peak));
  rows.push([
    key,
    seconds(key).toFixed(2),
    `${Math.round(peak)}`,
    ratio(key, 'limit cp'),
    ratio(key, 'limit sha256sum'),
    key.startsWith('ours') ? ratio(key, `peer ${step}`) : '',
  ]);
}
console.log(`${values.size} in ${count} files, median of ${runs} runs\n`);
console.log('| command | seconds | peak MiB | to cp | to sha256sum | to peer |\n|---|---|---|---|---|---|');
for (const row of rows) console.log(`| ${row.join(' | ')} |`);
