// Importing a large model from a hub: into the store, and straight to a registry; time, CPU, memory, bytes and requests.
//   node bench/import.ts [--size 8GiB] [--shards 4] [--runs 3] [--dir DIR]
//
//   --size SIZE   of the model; the hub serves zeros, and the registry keeps what is not zero
//   --shards N    files that it consists of
import { runBench } from './harness/bench.ts';
import { startCountingProxy } from './harness/counting-proxy.ts';
import { measure, type Sample } from './harness/measure.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools } from './harness/peers.ts';
import { startScript } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

const START = 'start of Node';
const values = readOptions(import.meta.url, { size: '8GiB', shards: '4' });
const options = {
  title: `import of ${values.size} in ${values.shards} files`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [START],
};

await runBench(options, async (bench) => {
  const [ours] = kitTools(values.ours, values.peer, bench.work);
  if (ours === undefined) throw new Error('nothing to import with');
  await using hub = await startScript('sparse-hub.ts', [String(count(values, 'shards')), String(bytes(values, 'size'))]);
  await using counted = await startCountingProxy(hub.host);

  async function importModel(...flags: string[]): Promise<Sample> {
    await using registry = await startScript('sparse-registry.ts', []);
    counted.reset();
    const args = flags.map((flag) => flag.replace('REGISTRY', registry.host));
    const { argv, env } = ours?.command(bench.path('home'), 'import', 'bench/model', ...args) ?? { argv: ['false'] };
    const sample = await measure({
      argv,
      env: { ...process.env, ...env, HF_ENDPOINT: `http://${counted.host}`, HF_HOME: bench.path('hf') },
    });
    return { ...sample, received: counted.traffic.received, requests: counted.traffic.requests };
  }

  await bench.rounds(async (record) => {
    await record(START, LIMIT, () => measure({ argv: [process.execPath, '-e', '0'] }));
    for (const format of ['tar', 'raw']) {
      bench.clear('home');
      await record(`import, ${format} layers`, OURS, () => importModel('-t', 'model:v1', '--layer-format', format));
      await record(`again, ${format} layers`, OURS, () => importModel('-t', 'model:v2', '--layer-format', format));
      bench.clear('home');
      const flags = ['-t', 'REGISTRY/bench/model:v1', '--push', '--plain-http', '--layer-format', format];
      await record(`import --push, ${format} layers`, OURS, () => importModel(...flags));
    }
  });
});
