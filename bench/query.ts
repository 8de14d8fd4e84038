// Models in a registry, found by what they say of themselves: a crawl, a catalog written and brought up to date, and questions to it.
//   node bench/query.ts [--models 10000] [--repositories 100] [--runs 3] [--postgres postgres://...] [--dir DIR]
//
//   --models N         ModelKits in the registry (docker-registry on the loopback), each with a manifest and a config of its own
//   --repositories N   over which they are spread
//   --postgres URL     also a catalog in this database: one that was there is dropped
import { createHash } from 'node:crypto';
import { Client } from 'pg';
import { runBench } from './harness/bench.ts';
import { measure, run } from './harness/measure.ts';
import { count, readOptions } from './harness/options.ts';
import { kitTools } from './harness/peers.ts';
import { startRegistry } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

const START = 'start of Node';
const values = readOptions(import.meta.url, { models: '10000', repositories: '100', runs: '3', postgres: '' });
const models = count(values, 'models');
const repositories = count(values, 'repositories');
const options = {
  title: `query of ${models} ModelKits in ${repositories} repositories`,
  dir: values.dir,
  runs: count(values, 'runs'),
  warmUp: false,
};

const NARROW = `model.parameters.accuracy > 0.998 && package.license == "MIT"`;
const BROAD = 'model.parameters.epochs >= 0';

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function send(url: URL, method: string, body?: Uint8Array, type = 'application/octet-stream'): Promise<Response> {
  const init = body === undefined ? {} : { body: new Uint8Array(body), headers: { 'content-type': type } };
  const response = await fetch(url, { method, ...init });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${method} ${url.pathname}: ${response.status}`);
  return response;
}

async function putBlob(host: string, repository: string, bytes: Buffer): Promise<{ digest: string; size: number }> {
  const begun = await send(new URL(`http://${host}/v2/${repository}/blobs/uploads/`), 'POST');
  const upload = new URL(begun.headers.get('location') ?? '', `http://${host}`);
  upload.searchParams.set('digest', digestOf(bytes));
  await send(upload, 'PUT', bytes);
  return { digest: digestOf(bytes), size: bytes.byteLength };
}

async function putModel(host: string, number: number, weights: { digest: string; size: number }): Promise<void> {
  const repository = `team/model${number % repositories}`;
  const parameters = { accuracy: (number % 1000) / 1000, epochs: number, learningRate: 1e-4, notes: 'as the run of the week before' };
  const kitfile = {
    manifestVersion: '1.0.0',
    package: { name: `model${number}`, version: `1.${number}.0`, license: number % 2 === 0 ? 'MIT' : 'Apache-2.0', authors: ['team'] },
    model: { name: `model-${number}`, path: 'model.safetensors', framework: 'pytorch', parameters },
    datasets: [{ name: 'train', path: 'data' }],
  };
  const config = await putBlob(host, repository, Buffer.from(JSON.stringify(kitfile)));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    artifactType: 'application/vnd.kitops.modelkit.manifest.v1+json',
    config: { mediaType: 'application/vnd.kitops.modelkit.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.kitops.modelkit.model.v1.tar', ...weights }],
  };
  await send(new URL(`http://${host}/v2/${repository}/manifests/v${number}`), 'PUT', Buffer.from(JSON.stringify(manifest)), mediaType);
}

async function fill(host: string): Promise<void> {
  const weights: { digest: string; size: number }[] = [];
  for (let at = 0; at < repositories; at++) weights.push(await putBlob(host, `team/model${at}`, Buffer.from('weights')));
  const numbers = Array.from({ length: models }, (_, number) => number).values();
  const worker = async (): Promise<void> => {
    for (const number of numbers) await putModel(host, number, weights[number % repositories] ?? { digest: '', size: 0 });
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

async function dropTables(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const tables = ['catalog', 'scopes', 'tags', 'members', 'artifacts', 'signatures'].map((name) => `kit_${name}`);
  await client.query(`DROP TABLE IF EXISTS ${tables.join(', ')}`);
  await client.end();
}

await runBench(options, async (bench) => {
  const [ours] = kitTools(values.ours, values.peer, bench.work);
  if (ours === undefined) throw new Error('nothing to ask with');
  await using registry = await startRegistry(bench.path('registry'));
  process.stderr.write(`pushing ${models} ModelKits\n`);
  await fill(registry.host);
  const kit = (home: string, ...args: string[]) => ours.command(bench.path(home), ...args);
  const catalogs = { SQLite: bench.path('catalog.db'), ...(values.postgres !== '' && { PostgreSQL: values.postgres }) };
  await bench.rounds(async (record) => {
    await record(START, LIMIT, () => measure({ argv: [process.execPath, '-e', '0'] }));
    bench.clear('crawler', 'catalog.db');
    await record('crawl, nothing known', OURS, () => measure(kit('crawler', 'query', NARROW, registry.host)));
    await record('crawl again', OURS, () => measure(kit('crawler', 'query', NARROW, registry.host)));
    if (values.postgres !== '') await dropTables(values.postgres);
    for (const [kind, database] of Object.entries(catalogs)) {
      const sync = ['catalog', 'sync', registry.host, '--database', database];
      await record(`catalog sync, new (${kind})`, OURS, () => measure(kit('syncer', ...sync)));
      await record(`catalog sync again (${kind})`, OURS, () => measure(kit('syncer', ...sync)));
      const asked = ['--catalog', database, '-n', '10'];
      await run(kit('syncer', 'query', NARROW, ...asked));
      await record(`query, few match (${kind})`, OURS, () => measure(kit('syncer', 'query', NARROW, ...asked)));
      await record(`query, all match, sorted (${kind})`, OURS, () =>
        measure(kit('syncer', 'query', BROAD, '--sort', 'model.parameters.accuracy:desc', ...asked)),
      );
    }
  });
});
