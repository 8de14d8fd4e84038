// Pushing to a registry over TLS, as all but those on loopback are reached, and pulling from it.
//   node bench/tls.ts [--size 2GiB] [--files 4] [--runs 3] [--dir DIR] [--peer kit]
//
//   --size SIZE  of the model
//   --files N    that the model is in, one layer each
//
// What is pushed is in the page cache. `kit` moves between its store and the registry; oras and crane, where they are on PATH, between it and
// an image layout with the same artifact. Nobody checks the certificate. docker-registry and openssl must be on PATH.
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { LOOPBACK, sendOverLoopback, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { type Command, measure, run, warm } from './harness/measure.ts';
import { writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools, layoutTools } from './harness/peers.ts';
import { startRegistry } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

/** How one tool moves the model to `HOST/REPOSITORY:TAG`, and from there into the folder `home`. */
interface Mover {
  readonly name: string;
  /** Where it has the model. */
  readonly source: string;
  push(to: string): Command;
  pull(from: string): Command;
}

const values = readOptions(import.meta.url, { size: '2GiB', files: '4' });
const size = bytes(values, 'size');
const options = {
  title: `TLS: ${values.size} in ${values.files} layers`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [SHA256, SHA256_TWICE, LOOPBACK],
};
const TAG = 'v1';
const UNCHECKED = '--tls-verify=false';

await runBench(options, async (bench) => {
  const { folder } = writeModel(bench.path('model'), size, count(values, 'files'));
  const kits = kitTools(values.ours, values.peer, bench.work);
  const layout = bench.path('layout');
  for (const kit of kits) {
    await run(kit.command(bench.path(`home-${kit.name}`), 'pack', folder, '-t', `bench:${TAG}`));
    if (kit.name === OURS) await run(kit.command(bench.path('home-layout'), 'pack', folder, '-t', `oci:${layout}:${TAG}`));
  }
  const movers: Mover[] = [
    ...kits.map((kit) => ({
      name: kit.name,
      source: bench.path(`home-${kit.name}`),
      push: (to: string) => kit.command(bench.path(`home-${kit.name}`), 'push', UNCHECKED, `bench:${TAG}`, to),
      pull: (from: string) => kit.command(bench.path('home'), 'pull', UNCHECKED, from),
    })),
    ...layoutTools(bench.work, 'https').map((tool) => ({
      name: tool.name,
      source: layout,
      push: (to: string) => tool.push(layout, TAG, to),
      pull: (from: string) => tool.pull(from, bench.path('home')),
    })),
  ];
  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(LOOPBACK, LIMIT, () => sendOverLoopback(size));
    for (const mover of rotated(movers, round)) {
      await using registry = await startRegistry(bench.path('registry'), 'https');
      const reference = `${registry.host}/bench/model:${TAG}`;
      await warm(mover.source);
      await record('push', mover.name, () => measure(mover.push(reference)));
      bench.clear('home');
      await record('pull', mover.name, () => measure(mover.pull(reference)));
      bench.clear('home');
    }
  });
});
