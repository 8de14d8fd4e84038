import { readdirSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { parseFilter } from '../../../src/operations/artifact/filter.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { unpack } from '../../../src/operations/unpack/unpack.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { startRegistry } from '../../support/registry.ts';
import { workspace } from './sandbox.ts';

const SMALL = 4096;
const HUGE = 100e9;

/** A ModelKit whose model layer is declared to have 100 GB, and which no request could be answered for. */
async function remoteWithHugeModel(layerFormat: 'tar' | 'raw') {
  const registry = await startRegistry();
  onTestFinished(async () => await registry.close());
  const packer = workspace();
  packer.write({
    'in/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  name: huge\n  path: model.bin\ndocs:\n  - path: card.md\n',
    'in/model.bin': 'stands for 100 GB',
    'in/card.md': 'x'.repeat(SMALL),
  });
  const destination = parseLocation(`${registry.host}/m:small`);
  const { digest, layers } = await pack(packer.kit, { directory: packer.path('in'), destination, push: true, layerFormat });
  const stored = registry.storage.repository('m');
  const manifest = JSON.parse(String(stored.manifests.get(digest)?.bytes)) as { layers: { digest: string; size: number }[] };
  const [model] = manifest.layers;
  if (model === undefined) throw new Error('the model is the first layer');
  model.size = HUGE;
  stored.blobs.delete(layers[0]?.descriptor.digest ?? 'sha256:');
  registry.addManifest('m', Buffer.from(JSON.stringify(manifest)), 'v1');
  registry.clear();
  return { registry, source: parseLocation(`${registry.host}/m:v1`), docs: layers[1]?.descriptor };
}

test.each(['tar', 'raw'] as const)('a small %s layer beside a huge one costs the manifest, the config and itself', async (layerFormat) => {
  const { registry, source, docs } = await remoteWithHugeModel(layerFormat);
  const space = workspace();
  const out = space.path('out');
  await unpack(space.kit, { source, directory: out, filters: [parseFilter('docs')] });
  expect(readFileSync(space.path('out/card.md'), 'utf8')).toBe('x'.repeat(SMALL));
  expect(readdirSync(out)).toEqual(['card.md']);
  expect(registry.log().filter((line) => !line.startsWith('GET /v2/ '))).toEqual([
    'HEAD /v2/m/manifests/v1 -> 200',
    'GET /v2/m/manifests/DIGEST -> 200',
    'GET /v2/m/blobs/DIGEST -> 200',
    'GET /v2/m/blobs/DIGEST -> 200',
  ]);
  const blobs = registry.requests.filter(({ path }) => path.includes('/blobs/'));
  expect(blobs.at(-1)?.path).toContain(docs?.digest);
  // nothing of it went through the store
  expect(readdirSync(space.root)).toEqual(['out']);
});
