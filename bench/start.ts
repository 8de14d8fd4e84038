// How long a short command takes: bare Node, `version`, and `list` of a store with many ModelKits, ours and another `kit`'s.
//   node bench/start.ts [--kits 1000] [--repositories 50] [--runs 20] [--peer kit]
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { modelkit } from '../src/formats/modelkit.ts';
import { kitfileEntries } from '../src/kitfile/types.ts';
import { type Descriptor, describe } from '../src/oci/descriptor.ts';
import { digestHex } from '../src/oci/digest.ts';
import { MEDIA_TYPE } from '../src/oci/media-types.ts';
import { addTag, EMPTY_REPOSITORY } from '../src/targets/repository-index.ts';
import { openStore } from '../src/targets/store.ts';
import { repositoryOf, withRepository } from '../src/targets/store-index.ts';

const { values } = parseArgs({
  options: {
    kits: { type: 'string', default: '1000' },
    repositories: { type: 'string', default: '50' },
    runs: { type: 'string', default: '20' },
    peer: { type: 'string', default: 'kit' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const kits = Number(values.kits);
const repositories = Number(values.repositories);
const runs = Number(values.runs);
const home = mkdtempSync(join(values.dir, 'kit-bench-'));

/** ModelKits of one small layer each, written as blobs with one change of the index: packing them one by one would take minutes. */
async function writeStore(): Promise<void> {
  const store = await openStore(home);
  await store.prepare();
  const write = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const blob = describe(mediaType, bytes);
    writeFileSync(join(store.storage, 'blobs', 'sha256', digestHex(blob.digest)), bytes);
    return blob;
  };
  const manifests = Array.from({ length: kits }, (_, kit) => {
    const kitfile = {
      manifestVersion: '1.0.0',
      package: { name: `model-${kit}`, version: '1.0.0', description: 'One of many', authors: ['Ada', 'Grace'] },
      model: { name: 'model', path: 'model.bin', license: 'Apache-2.0', framework: 'onnx', parameters: { seed: kit } },
    };
    const file = { path: 'model.bin', type: 'file', mode: 0o644, size: 0 } as const;
    const entries = kitfileEntries(kitfile).map((entry) => ({ entry, path: file.path, files: [file] }));
    const packed = modelkit
      .plan(entries, { encoding: 'tar', compression: 'none', warn: () => {} })
      .map(({ entry, path, mediaType, annotations }) => {
        const descriptor = { ...write(mediaType, Buffer.from(`weights ${kit}`)), annotations };
        return { role: entry.role, index: entry.index, path, descriptor, diffId: descriptor.digest };
      });
    const { config, manifest } = modelkit.assemble(kitfile, packed, {});
    write(config.descriptor.mediaType, config.bytes);
    return write(MEDIA_TYPE.imageManifest, manifest);
  });
  await store.update((index) =>
    manifests.reduce((changed, manifest, kit) => {
      const name = `registry.example.com/team/model-${kit % repositories}`;
      return withRepository(changed, name, addTag(repositoryOf(changed, name) ?? EMPTY_REPOSITORY, manifest, `v${kit}`));
    }, index),
  );
  // the peer would else ask the network whether it is the newest
  writeFileSync(join(home, 'disable-update-notifications'), '');
}

const ours = [process.execPath, join(import.meta.dirname, '..', 'bin', 'kit.js')];
// the cache of compiled code is the bench's own: the first round fills it
const env: NodeJS.ProcessEnv = { ...process.env, KIT_HOME: home, KITOPS_HOME: home, XDG_CACHE_HOME: join(home, 'cache'), CI: '1' };
delete env['NODE_OPTIONS'];

/** Milliseconds from start to end. */
async function measure([program = '', ...args]: readonly string[]): Promise<number> {
  const started = performance.now();
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stdout.resume();
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const exited = once(child, 'exit').then(([status]) => ({ status: status as number | null, ms: performance.now() - started }));
  await once(child, 'close');
  const { status, ms } = await exited;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(status)}: ${errors}`);
  return ms;
}

function countListed(command: readonly string[]): number {
  const { stdout } = spawnSync(command[0] ?? '', [...command.slice(1), 'list'], { env, encoding: 'utf8', maxBuffer: 2 ** 30 });
  return stdout.trim().split('\n').length - 1;
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;

mkdirSync(home, { recursive: true });
try {
  await writeStore();
  const hasPeer = spawnSync(values.peer, ['version'], { env }).status === 0;
  const subjects = new Map<string, readonly string[]>([
    ['bare node', [process.execPath, devNull]],
    ['ours version', [...ours, 'version']],
    [`ours list of ${kits}`, [...ours, 'list']],
    ...(hasPeer ? [['peer version', [values.peer, 'version']] as const, [`peer list of ${kits}`, [values.peer, 'list']] as const] : []),
  ]);
  for (const command of [ours, ...(hasPeer ? [[values.peer]] : [])]) {
    const listed = countListed(command);
    if (listed !== kits) throw new Error(`${command.join(' ')} lists ${listed} of ${kits}`);
  }
  const times = new Map<string, number[]>();
  for (let run = -1; run < runs; run++) {
    for (const [name, command] of subjects) {
      const ms = await measure(command);
      // the first round warms the caches and is not counted
      if (run >= 0) times.set(name, [...(times.get(name) ?? []), ms]);
    }
  }
  const of = (name: string): number => median(times.get(name) ?? []);
  const bare = of('bare node');
  console.log(`${kits} ModelKits in ${repositories} repositories, median of ${runs} runs\n`);
  console.log('| command | ms | fastest | to bare node | over bare node |\n|---|---|---|---|---|');
  for (const [name, list] of times) {
    const figures = [of(name).toFixed(1), Math.min(...list).toFixed(1), `${(of(name) / bare).toFixed(2)}x`, (of(name) - bare).toFixed(1)];
    console.log(`| ${[name, ...figures].join(' | ')} |`);
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
