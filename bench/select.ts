// Unpacking a layer of 4 KB that lies beside a huge one, straight from a registry: time, bytes and requests.
//   node bench/select.ts [--size 64GB] [--runs 5] [--dir DIR] [--peer kit]
//
//   --size SIZE  of the other layer; its file has a hole for content, and the registry keeps what is not zero
//
// Once, before the rounds, the model is packed to the registry, which hashes all of it.
import { rotated, runBench } from './harness/bench.ts';
import { startCountingProxy } from './harness/counting-proxy.ts';
import { measure, run, type Sample } from './harness/measure.ts';
import { writeSparseModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { type KitTool, kitTools } from './harness/peers.ts';
import { startScript } from './harness/registry.ts';
import { LIMIT } from './harness/table.ts';

const START = 'start of Node';
const values = readOptions(import.meta.url, { size: '64GB', runs: '5' });
const options = { title: `A layer of 4 KB beside one of ${values.size}`, dir: values.dir, runs: count(values, 'runs'), limits: [START] };

await runBench(options, async (bench) => {
  const { folder } = writeSparseModel(bench.path('model'), bytes(values, 'size'));
  const kits = kitTools(values.ours, values.peer, bench.work);
  await using registry = await startScript('sparse-registry.ts', []);
  await using counted = await startCountingProxy(registry.host);
  const [ours] = kits;
  if (ours === undefined) throw new Error('nothing to pack with');
  await run(ours.command(bench.path('home'), 'pack', folder, '-t', `${registry.host}/bench/model:v1`, '--push', '--plain-http'));

  async function unpack(kit: KitTool): Promise<Sample> {
    bench.clear('home', 'out');
    const reference = `${counted.host}/bench/model:v1`;
    const flags = ['--plain-http', '--filter', 'docs', '-d', bench.path('out')];
    counted.reset();
    const sample = await measure(kit.command(bench.path('home'), 'unpack', reference, ...flags));
    return { ...sample, received: counted.traffic.received, requests: counted.traffic.requests };
  }

  await bench.rounds(async (record, round) => {
    await record(START, LIMIT, () => measure({ argv: [process.execPath, '-e', '0'] }));
    for (const kit of rotated(kits, round)) await record('unpack --filter docs', kit.name, () => unpack(kit));
  });
});
