// Pulling into local storage: on loopback; one large layer over a link that is limited per connection; and again after it was interrupted.
//   node bench/pull.ts [--size 2GiB] [--files 4] [--layer 512MiB] [--rate 40MB] [--delay 20] [--runs 3] [--dir DIR] [--peer kit]
//
//   --size SIZE   of the model that is pulled on loopback
//   --files N     that it is in, one layer each
//   --layer SIZE  of the one layer of the model that is pulled over the limited link
//   --rate SIZE   bytes a second of one connection of that link
//   --delay MS    milliseconds that it takes to open one
//
// The interrupted pull is killed when half of the layer has come; the second one is measured, with the bytes and requests that it took. oras and
// crane, where they are on PATH, pull into an image layout. docker-registry must be on PATH.
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { startCountingProxy } from './harness/counting-proxy.ts';
import { CP, GET, getLayers, LOOPBACK, sendOverLoopback, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { type Command, interrupt, measure, run, type Sample } from './harness/measure.ts';
import { writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools, layoutTools } from './harness/peers.ts';
import { startRegistry, startScript } from './harness/registry.ts';
import { LIMIT } from './harness/table.ts';

const values = readOptions(import.meta.url, { size: '2GiB', files: '4', layer: '512MiB', rate: '40MB', delay: '20' });
const size = bytes(values, 'size');
const layer = bytes(values, 'layer');
const PULL = 'pull';
const LINK = `pull of ${values.layer}, ${values.rate}/s a connection`;
const RESUME = `pull of ${values.layer}, ${values.rate}/s, resumed at half`;
const options = {
  title: `Pull: ${values.size} in ${values.files} layers on loopback; a layer of ${values.layer} at ${values.rate}/s and ${values.delay} ms a connection`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [CP, SHA256, SHA256_TWICE, GET],
  aside: [LINK, RESUME],
};

await runBench(options, async (bench) => {
  const { folder } = writeModel(bench.path('model'), size, count(values, 'files'));
  const kits = kitTools(values.ours, values.peer, bench.work);
  await using registry = await startRegistry(bench.path('registry'));
  writeModel(bench.path('large'), layer, 1);
  for (const name of ['model', 'large']) {
    const reference = `${registry.host}/bench/${name}:v1`;
    const [ours] = kits;
    if (ours === undefined) throw new Error('nothing to pack with');
    await run(ours.command(bench.path('home'), 'pack', bench.path(name), '-t', reference));
    await run(ours.command(bench.path('home'), 'push', '--plain-http', reference));
    bench.clear('home');
  }
  await using link = await startScript('throttle-proxy.ts', [
    '--listen',
    '0',
    '--to',
    registry.host,
    '--rate',
    values.rate,
    '--delay',
    values.delay,
  ]);
  await using counted = await startCountingProxy(link.host);

  // into the folder `home`, which is a store or holds a layout
  const pullers: { readonly name: string; readonly pull: (reference: string) => Command }[] = [
    ...kits.map((kit) => ({
      name: kit.name,
      pull: (reference: string) => kit.command(bench.path('home'), 'pull', '--plain-http', reference),
    })),
    ...layoutTools(bench.work).map((tool) => ({ name: tool.name, pull: (reference: string) => tool.pull(reference, bench.path('home')) })),
  ];

  async function resume(command: Command): Promise<Sample> {
    counted.reset();
    await interrupt(command, () => counted.traffic.received > layer / 2);
    counted.reset();
    const sample = await measure(command);
    return { ...sample, received: counted.traffic.received, requests: counted.traffic.requests };
  }

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(LOOPBACK, LIMIT, () => sendOverLoopback(size));
    await record(GET, LIMIT, () => getLayers(registry.host, 'bench/model'));
    for (const [step, sample] of [
      [PULL, (pull) => measure(pull(`${registry.host}/bench/model:v1`))],
      [LINK, (pull) => measure(pull(`${link.host}/bench/large:v1`))],
      [RESUME, (pull) => resume(pull(`${counted.host}/bench/large:v1`))],
    ] satisfies [string, (pull: (reference: string) => Command) => Promise<Sample>][]) {
      for (const { name, pull } of rotated(pullers, round)) {
        bench.clear('home');
        await record(step, name, () => sample(pull));
      }
      bench.clear('home');
    }
  });
});
