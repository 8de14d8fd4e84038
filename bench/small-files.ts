// Packing and unpacking many small files in one layer.
//   node bench/small-files.ts [--files 100000] [--smallest 1KB] [--largest 50KB] [--runs 3] [--dir DIR] [--peer kit]
//
//   --files N        in folders of a thousand
//   --smallest SIZE  of a file
//   --largest SIZE   of a file; sizes in between are equally likely
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { CP, SHA256 } from './harness/limits.ts';
import { measure } from './harness/measure.ts';
import { writeSmallFiles } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools } from './harness/peers.ts';

const values = readOptions(import.meta.url, { files: '100000', smallest: '1KB', largest: '50KB' });
const files = count(values, 'files');
const [smallest, largest] = [bytes(values, 'smallest'), bytes(values, 'largest')];
const options = {
  title: `Small files: ${values.files} of ${values.smallest} to ${values.largest}`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [CP, SHA256],
};

await runBench(options, async (bench) => {
  const { folder, size } = writeSmallFiles(bench.path('model'), files, smallest, largest);
  const tools = kitTools(values.ours, values.peer, bench.work);

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    for (const tool of rotated(tools, round)) {
      const home = bench.path('home');
      bench.clear('home');
      await record('pack', tool.name, () => measure(tool.command(home, 'pack', folder, '-t', 'bench:v1')));
      await record('repack, nothing changed', tool.name, () => measure(tool.command(home, 'pack', folder, '-t', 'bench:v2')));
      await record('unpack', tool.name, () => measure(tool.command(home, 'unpack', 'bench:v1', '-d', bench.path('out'))));
      bench.clear('home', 'out');
    }
  });
});
