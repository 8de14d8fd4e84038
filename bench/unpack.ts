// Unpacking: from the store (tar layers, raw layers, by link), straight from a registry on loopback and over a link that is limited per
// connection.
//   node bench/unpack.ts [--size 2GiB] [--files 4] [--layer 512MiB] [--rate 40MB] [--delay 20] [--runs 3] [--dir DIR] [--peer kit]
//
//   --size SIZE   of the model
//   --files N     that it is in, one layer each
//   --layer SIZE  of the one layer of the model that is unpacked over the limited link
//   --rate SIZE   bytes a second of one connection of that link
//   --delay MS    milliseconds that it takes to open one
//
// On a file system with reflinks (--dir on XFS or btrfs) files of raw layers share the blocks of the store. docker-registry must be on PATH.
import { recordLimits, rotated, runBench } from './harness/bench.ts';
import { CP, CP_REFLINK, GET, getLayers, SHA256, SHA256_TWICE } from './harness/limits.ts';
import { measure, run, type Sample } from './harness/measure.ts';
import { writeModel } from './harness/model.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { type KitTool, kitTools } from './harness/peers.ts';
import { startRegistry, startScript } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

const values = readOptions(import.meta.url, { size: '2GiB', files: '4', layer: '512MiB', rate: '40MB', delay: '20' });
const size = bytes(values, 'size');
const STORE = 'unpack from the store';
const RAW = 'unpack raw layers from the store';
const BY_LINK = 'unpack --link of raw layers';
const REGISTRY = 'unpack from the registry';
const LINK = `unpack of ${values.layer} from the registry, ${values.rate}/s a connection`;
const options = {
  title: `Unpack: ${values.size} in ${values.files} layers; a layer of ${values.layer} at ${values.rate}/s and ${values.delay} ms a connection`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [CP, CP_REFLINK, SHA256, SHA256_TWICE, GET],
  against: { [RAW]: STORE, [BY_LINK]: STORE },
  aside: [LINK],
};

await runBench(options, async (bench) => {
  const { folder } = writeModel(bench.path('model'), size, count(values, 'files'));
  const kits = kitTools(values.ours, values.peer, bench.work);
  await using registry = await startRegistry(bench.path('registry'));
  writeModel(bench.path('large'), bytes(values, 'layer'), 1);
  for (const kit of kits) {
    await run(kit.command(bench.path(`home-${kit.name}`), 'pack', folder, '-t', 'bench:v1'));
    if (kit.name !== OURS) continue;
    for (const home of ['home-raw', 'home-link'])
      await run(kit.command(bench.path(home), 'pack', folder, '-t', 'bench:v1', '--layer-format', 'raw'));
    for (const name of ['model', 'large']) {
      const reference = `${registry.host}/bench/${name}:v1`;
      await run(kit.command(bench.path('home'), 'pack', bench.path(name), '-t', reference));
      await run(kit.command(bench.path('home'), 'push', '--plain-http', reference));
      bench.clear('home');
    }
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

  /** Into an empty folder; `home` is below `work`. */
  async function unpack(kit: KitTool, home: string, reference: string, ...flags: string[]): Promise<Sample> {
    bench.clear('out');
    const sample = await measure(kit.command(bench.path(home), 'unpack', reference, '-d', bench.path('out'), ...flags));
    bench.clear('out', 'home');
    return sample;
  }

  await bench.rounds(async (record, round) => {
    await recordLimits(bench, record, folder, size);
    await record(GET, LIMIT, () => getLayers(registry.host, 'bench/model'));
    for (const kit of rotated(kits, round)) {
      await record(STORE, kit.name, () => unpack(kit, `home-${kit.name}`, 'bench:v1'));
      if (kit.name === OURS) {
        await record(RAW, OURS, () => unpack(kit, 'home-raw', 'bench:v1'));
        await record(BY_LINK, OURS, () => unpack(kit, 'home-link', 'bench:v1', '--link'));
      }
      await record(REGISTRY, kit.name, () => unpack(kit, 'home', `${registry.host}/bench/model:v1`, '--plain-http'));
      await record(LINK, kit.name, () => unpack(kit, 'home', `${link.host}/bench/large:v1`, '--plain-http'));
    }
  });
});
