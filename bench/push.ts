// Pushing from local storage to a registry on loopback: everything, one layer of several, nothing new, and all from another repository.
//   node bench/push.ts [--size 2GiB] [--files 4] [--runs 3] [--dir DIR] [--peer kit]
//
//   --size SIZE  of the model
//   --files N    that the model is in, one layer each
//
// What is pushed is in the page cache. `kit` pushes from its store; oras and crane, where they are on PATH, from an image layout with the
// same artifact. For the last step each tool has what it needs to mount: `kit` a store that knows the other repository, oras and crane copy
// from it. docker-registry must be on PATH.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { LOOPBACK, sendOverLoopback, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { type Command, measure, run, warm } from './harness/measure.ts';
import { changeFile, writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools, layoutTools } from './harness/peers.ts';
import { startRegistry } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

/** How one tool does the steps; `to` is `HOST/REPOSITORY`. */
interface Pusher {
  readonly name: string;
  /** Where it has what it pushes. */
  readonly source: string;
  push(tag: 'v1' | 'v2', to: string): Command;
  /** Unmeasured, before `mount`. */
  know?(from: string): Command;
  mount(from: string, to: string): Command;
}

const values = readOptions(import.meta.url, { size: '2GiB', files: '4' });
const size = bytes(values, 'size');
const PUSH = 'push';
const ONE_NEW = `push, 1 of ${values.files} layers new`;
const AGAIN = 'push, nothing new';
const MOUNT = 'push, layers in another repository';
const options = {
  title: `Push: ${values.size} in ${values.files} layers`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [SHA256, SHA256_TWICE, LOOPBACK],
};

await runBench(options, async (bench) => {
  const { folder, files } = writeModel(bench.path('model'), size, count(values, 'files'));
  const kits = kitTools(values.ours, values.peer, bench.work);
  const layout = bench.path('layout');
  for (const tag of ['v1', 'v2'] as const) {
    if (tag === 'v2') changeFile(files.at(-1) ?? '');
    for (const kit of kits) {
      await run(kit.command(bench.path(`home-${kit.name}`), 'pack', folder, '-t', `bench:${tag}`));
      if (kit.name === OURS) await run(kit.command(bench.path('home-layout'), 'pack', folder, '-t', `oci:${layout}:${tag}`));
    }
    onlyTag(layout, tag);
  }

  const pushers: Pusher[] = kits.map((kit) => {
    const command = (...args: string[]): Command => kit.command(bench.path(`home-${kit.name}`), ...args);
    return {
      name: kit.name,
      source: bench.path(`home-${kit.name}`),
      push: (tag, to) => command('push', '--plain-http', `bench:${tag}`, `${to}:${tag}`),
      know: (from) => command('tag', 'bench:v1', `${from}:v1`),
      mount: (from, to) => command('push', '--plain-http', `${from}:v1`, `${to}:v1`),
    };
  });
  pushers.push(
    ...layoutTools(bench.work).map((tool): Pusher => ({
      name: tool.name,
      source: layout,
      push: (tag, to) => tool.push(`${layout}-${tag}`, tag, `${to}:${tag}`),
      mount: (from, to) => tool.copy(`${from}:v1`, `${to}:v1`),
    })),
  );

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(LOOPBACK, LIMIT, () => sendOverLoopback(size));
    for (const pusher of rotated(pushers, round)) {
      await using registry = await startRegistry(bench.path('registry'));
      const [first, second] = [`${registry.host}/bench/first`, `${registry.host}/bench/second`];
      await warm(pusher.source);
      await record(PUSH, pusher.name, () => measure(pusher.push('v1', first)));
      await record(ONE_NEW, pusher.name, () => measure(pusher.push('v2', first)));
      await record(AGAIN, pusher.name, () => measure(pusher.push('v1', first)));
      await record(MOUNT, pusher.name, async () => {
        if (pusher.know) await run(pusher.know(first));
        return await measure(pusher.mount(first, second));
      });
    }
  });
});

/** A layout that has nothing but `tag`, over the same blobs: `crane push` takes no layout of several artifacts. */
function onlyTag(layout: string, tag: string): void {
  const folder = `${layout}-${tag}`;
  mkdirSync(folder);
  symlinkSync(join(layout, 'blobs'), join(folder, 'blobs'));
  writeFileSync(join(folder, 'oci-layout'), readFileSync(join(layout, 'oci-layout')));
  interface Index {
    manifests: { annotations?: Record<string, string> }[];
  }
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Index;
  const manifests = index.manifests.filter(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === tag);
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ ...index, manifests }));
}
