// Packing again what is in the store: nothing changed, and one file changed.
//   node bench/repack.ts [--size 4GiB] [--files 4] [--runs 3] [--dir DIR] [--peer kit]
//
//   --size SIZE  of the model
//   --files N    that the model is in, one layer each
//
// The limit of the first is the start of a process: `node -e 0`.
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { CP, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { measure, run } from './harness/measure.ts';
import { changeFile, writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools } from './harness/peers.ts';
import { LIMIT, OURS } from './harness/table.ts';

const FIRST = 'first pack';
const UNCHANGED = 'repack, nothing changed';
const UNCACHED = 'repack --no-cache, nothing changed';
const START = 'start of Node';
/** The coarsest time stamps that a file system may have, and some more: what is older cannot have changed unseen. */
const SETTLED_MS = 3500;

const values = readOptions(import.meta.url, { size: '4GiB', files: '4' });
const size = bytes(values, 'size');
const CHANGED = `repack, 1 of ${values.files} files changed`;
const options = {
  title: `Repack: ${values.size} in ${values.files} files`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [CP, SHA256, SHA256_TWICE, START],
  against: { [UNCACHED]: UNCHANGED },
};

await runBench(options, async (bench) => {
  const { folder, files } = writeModel(bench.path('model'), size, count(values, 'files'));
  const tools = kitTools(values.ours, values.peer, bench.work);

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(START, LIMIT, () => measure({ argv: [process.execPath, '-e', '0'] }));
    for (const tool of rotated(tools, round)) {
      const pack = (tag: string, ...flags: string[]) => tool.command(bench.path('home'), 'pack', folder, '-t', `bench:${tag}`, ...flags);
      bench.clear('home');
      await settled(files);
      await record(FIRST, tool.name, () => measure(pack('v1')));
      await record(UNCHANGED, tool.name, () => measure(pack('v2')));
      if (tool.name === OURS) await record(UNCACHED, OURS, () => measure(pack('v3', '--no-cache')));
      await record(CHANGED, tool.name, async () => {
        changeFile(files.at(-1) ?? '');
        await run({ argv: ['sync'] });
        return await measure(pack('v4'));
      });
    }
    bench.clear('home');
  });
});

/** Waits until the last change is old enough to be told from one that comes. */
async function settled(paths: readonly string[]): Promise<void> {
  const newest = Math.max(...paths.map((path) => statSync(path).ctimeMs));
  await sleep(Math.max(0, newest + SETTLED_MS - Date.now()));
}
