// Packing: into the local store as tar layers and as raw ones, and straight to a registry beside pack, then push.
//   node bench/pack.ts [--size 3GiB] [--files 4] [--runs 3] [--dir DIR] [--peer kit]
//
//   --size SIZE  of the model
//   --files N    that the model is in, one layer each
//
// Every pack begins with an empty store. On a file system with reflinks (--dir on XFS or btrfs) raw layers share the blocks of the source.
// docker-registry must be on PATH.
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { CP, CP_REFLINK, LOOPBACK, sendOverLoopback, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { measure, type Sample, together } from './harness/measure.ts';
import { writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { type KitTool, kitTools } from './harness/peers.ts';
import { startRegistry } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

const PACK = 'pack';
const RAW = 'pack --layer-format raw';
const THEN_PUSH = 'pack, then push';
const PUSH = 'pack --push';

const values = readOptions(import.meta.url, { size: '3GiB', files: '4' });
const size = bytes(values, 'size');
const options = {
  title: `Pack: ${values.size} in ${values.files} files`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [CP, CP_REFLINK, SHA256, SHA256_TWICE],
  against: { [RAW]: PACK, [PUSH]: THEN_PUSH },
};

await runBench(options, async (bench) => {
  const { folder } = writeModel(bench.path('model'), size, count(values, 'files'));
  const tools = kitTools(values.ours, values.peer, bench.work);
  const home = bench.path('home');

  /** Into an empty store, which is left as it is. */
  async function pack(tool: KitTool, reference: string, ...flags: string[]): Promise<Sample> {
    bench.clear('home');
    return await measure(tool.command(home, 'pack', folder, '-t', reference, ...flags));
  }
  /** With a registry that is empty. */
  async function withRegistry(use: (reference: string) => Promise<Sample>): Promise<Sample> {
    await using registry = await startRegistry(bench.path('registry'));
    return await use(`${registry.host}/bench/model:v1`);
  }

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(LOOPBACK, LIMIT, () => sendOverLoopback(size));
    for (const tool of rotated(tools, round)) {
      await record(PACK, tool.name, () => pack(tool, 'bench:v1'));
      if (tool.name === OURS) {
        await record(RAW, OURS, () => pack(tool, 'bench:v1', '--layer-format', 'raw'));
        await record(PUSH, OURS, () => withRegistry((reference) => pack(tool, reference, '--push', '--plain-http')));
      }
      await record(THEN_PUSH, tool.name, () =>
        withRegistry(async (reference) => {
          const packed = await pack(tool, reference);
          return together(packed, await measure(tool.command(home, 'push', '--plain-http', reference)));
        }),
      );
      bench.clear('home');
    }
  });
});
