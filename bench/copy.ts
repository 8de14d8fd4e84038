// Copying between two registries on loopback, within one, and saving and loading an archive.
//   node bench/copy.ts [--size 2GiB] [--files 4] [--runs 3] [--dir DIR]
//
//   --size SIZE  of the model
//   --files N    that the model is in, one layer each
//
// oras, crane and skopeo take part where they are on PATH. `kit save` and `kit load` work on a store, skopeo on an image layout with the same
// blobs; `cp` copies the archive. docker-registry must be on PATH.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { LOOPBACK, sendOverLoopback, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { type Command, measure, run } from './harness/measure.ts';
import { writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools, layoutTools } from './harness/peers.ts';
import { startRegistry } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

/** How one tool copies; `from` and `to` are `HOST/REPOSITORY:TAG`. */
interface Copier {
  readonly name: string;
  copy(from: string, to: string): Command;
}

const values = readOptions(import.meta.url, { size: '2GiB', files: '4' });
const size = bytes(values, 'size');
const BETWEEN = 'copy between registries';
const AGAIN = 'copy, nothing new';
const WITHIN = 'copy within a registry';
const SAVE = 'save';
const LOAD = 'load';
const PIPE = 'load from a pipe';
const options = {
  title: `Copy: ${values.size} in ${values.files} layers`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [SHA256, SHA256_TWICE, LOOPBACK],
};

await runBench(options, async (bench) => {
  const { folder } = writeModel(bench.path('model'), size, count(values, 'files'));
  const [kit] = kitTools(values.ours, values.peer, bench.work).filter(({ name }) => name === OURS);
  if (kit === undefined) throw new Error('there is no kit to measure');
  const skopeo = skopeoTool(bench.path('skopeo'));
  const [home, layout, archive] = [bench.path('home'), bench.path('layout'), bench.path('saved.tar')];
  await run(kit.command(home, 'pack', folder, '-t', 'bench:v1'));
  await run(kit.command(home, 'push', 'bench:v1', `oci:${layout}:v1`));
  const copiers: Copier[] = [
    { name: OURS, copy: (from, to) => kit.command(bench.path('empty'), 'copy', from, to) },
    ...layoutTools(bench.work),
    ...(skopeo === undefined ? [] : [skopeo]),
  ];

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(LOOPBACK, LIMIT, () => sendOverLoopback(size));
    await using source = await startRegistry(bench.path('source'));
    const from = `${source.host}/bench/first:v1`;
    await run(kit.command(home, 'push', '--plain-http', 'bench:v1', from));
    for (const copier of rotated(copiers, round)) {
      const { name } = copier;
      await using destination = await startRegistry(bench.path('destination'));
      const to = `${destination.host}/bench/first:v1`;
      await record(BETWEEN, name, () => measure(copier.copy(from, to)));
      await record(AGAIN, name, () => measure(copier.copy(from, to)));
      await record(WITHIN, name, () => measure(copier.copy(from, `${source.host}/within/${name}-${round}:v1`)));
    }
    bench.clear('saved.tar', 'theirs.tar', 'loaded', 'piped', 'theirs');
    await record(SAVE, OURS, () => measure(kit.command(home, 'save', 'bench:v1', '-o', archive)));
    await record(LOAD, OURS, () => measure(kit.command(bench.path('loaded'), 'load', '-i', archive)));
    const piped = kit.command(bench.path('piped'), 'load');
    await record(PIPE, OURS, () => measure({ ...piped, argv: ['sh', '-c', 'cat "$1" | { shift; "$@"; }', 'sh', archive, ...piped.argv] }));
    if (skopeo !== undefined) {
      const theirs = bench.path('theirs.tar');
      await record(SAVE, skopeo.name, () => measure(skopeo.convert(`oci:${layout}:v1`, `oci-archive:${theirs}:v1`)));
      await record(LOAD, skopeo.name, () => measure(skopeo.convert(`oci-archive:${theirs}:v1`, `oci:${bench.path('theirs')}:v1`)));
    }
    bench.clear('saved.tar', 'theirs.tar', 'loaded', 'piped', 'theirs');
  });
});

interface SkopeoTool extends Copier {
  /** Between any two of its transports. */
  convert(from: string, to: string): Command;
}

/** Undefined where it is not on PATH. */
function skopeoTool(home: string): SkopeoTool | undefined {
  if (spawnSync('skopeo', ['--version']).status !== 0) return undefined;
  mkdirSync(home);
  const convert: SkopeoTool['convert'] = (from, to) => ({
    argv: [
      'skopeo',
      '--insecure-policy',
      '--tmpdir',
      home,
      'copy',
      '--preserve-digests',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      from,
      to,
    ],
    env: { ...process.env, HOME: home, XDG_DATA_HOME: home, XDG_RUNTIME_DIR: home },
  });
  return { name: 'skopeo', convert, copy: (from, to) => convert(`docker://${from}`, `docker://${to}`) };
}
