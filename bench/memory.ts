// Memory at its highest by size of the model: pack, push, pull and unpack of one layer.
//   node bench/memory.ts [--sizes 1GB,8GB,64GB] [--room SIZE] [--runs 1] [--dir DIR] [--peer kit]
//
//   --sizes LIST  of the models, each one sparse file
//   --room SIZE   that may be taken of the disk (default: nine tenths of what is free). A store takes the size of the model, unpacking from a store
//                 twice that: steps that do not fit are left out, and named. A compressing file system (btrfs mounted with compress=zstd) holds
//                 64 GB of zeros in 2: there the room can be said to be larger than it is.
//
// The registry keeps only what is not zero.
import { statfsSync } from 'node:fs';
import { type Recorder, rotated, runBench } from './harness/bench.ts';
import { measure } from './harness/measure.ts';
import { writeSparseModel } from './harness/model.ts';
import { bytes, byteSize, count, readOptions } from './harness/options.ts';
import { type KitTool, kitTools } from './harness/peers.ts';
import { startScript } from './harness/registry.ts';
import { OURS } from './harness/table.ts';

const values = readOptions(import.meta.url, { sizes: '1GB,8GB,64GB', room: '', runs: '1' });
const sizes = values.sizes.split(',').map((text) => ({ text, bytes: byteSize(text, '--sizes') }));
const { bavail, bsize } = statfsSync(values.dir);
const room = values.room === '' ? bavail * bsize * 0.9 : bytes(values, 'room');
const options = { title: 'Memory by size of the model', dir: values.dir, runs: count(values, 'runs'), warmUp: false };

await runBench(options, async (bench) => {
  const kits = kitTools(values.ours, values.peer, bench.work);
  const home = bench.path('home');
  const out = bench.path('out');

  /** The steps of one tool with a model of one size, which the registry gets from us; nothing is left behind. */
  async function steps(kit: KitTool, record: Recorder, size: (typeof sizes)[number], host: string): Promise<void> {
    const reference = `${host}/bench/model:v1`;
    const network = ['--plain-http', reference];
    const step = async (name: string, stores: number, ...args: string[]): Promise<void> => {
      if (size.bytes * stores <= room) await record(`${name}, ${size.text}`, kit.name, () => measure(kit.command(home, ...args)));
      else bench.note(`${name}, ${size.text}`, 'left out, it does not fit on the disk');
    };
    await step('pack', 1, 'pack', bench.path('model'), '-t', reference);
    await step('push', 1, 'push', ...network, `${host}/bench/${kit.name}:v1`);
    bench.clear('home');
    await step('pull', 1, 'pull', ...network);
    await step('unpack from the store', 2, 'unpack', reference, '-d', out);
    bench.clear('home', 'out');
    await step('unpack from the registry', 1, 'unpack', ...network, '-d', out);
    bench.clear('home', 'out');
  }

  await bench.rounds(async (record, round) => {
    for (const size of sizes) {
      bench.clear('model');
      writeSparseModel(bench.path('model'), size.bytes);
      await using registry = await startScript('sparse-registry.ts', []);
      const [ours] = kits;
      if (ours === undefined) throw new Error('nothing to pack with');
      const push = ours.command(home, 'pack', bench.path('model'), '-t', `${registry.host}/bench/model:v1`, '--push', '--plain-http');
      await record(`pack --push, ${size.text}`, OURS, () => measure(push));
      bench.clear('home');
      for (const kit of rotated(kits, round)) await steps(kit, record, size, registry.host);
    }
  });
});
