import { expect, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { plannedBlob, warnOfLimits } from '../../../src/targets/registry-limits.ts';
import type { RegistryLimits, Target } from '../../../src/targets/types.ts';

const GB = 1e9;
const unused = (): never => {
  throw new Error('not asked');
};

async function warnings(limits: RegistryLimits | undefined, blobs: Parameters<typeof warnOfLimits>[1], there = false): Promise<string[]> {
  const events: KitEvent[] = [];
  const target: Target = {
    name: 'ghcr.io/team/model',
    can: limits === undefined ? {} : { limits },
    has: async () => there,
    fetch: unused,
    resolve: unused,
    push: unused,
    tag: unused,
  };
  await warnOfLimits(target, blobs, { onEvent: (event) => void events.push(event) });
  return events.map((event) => (event.type === 'warning' ? event.message : event.type));
}

const github = { service: 'GitHub Container Registry', maxLayerBytes: 10 * GB, uploadMinutes: 10 };

test.each([
  ['model.safetensors', 'save it in shards, `model.save_pretrained(DIR, max_shard_size="8GB")`, or push to a registry that takes it'],
  ['model-q8.GGUF', 'split it, `llama-gguf-split --split --split-max-size 8G IN.gguf OUT`, or push to a registry that takes it'],
  ['data', 'split it (a directory: `kit pack --use-model-pack` makes a layer of each file), or push to a registry that takes it'],
])('a layer above the limit is told with the way out: %s', async (name, remedy) => {
  expect(
    await warnings(github, [
      { name, size: 12.34 * GB },
      { name: 'small', size: 10 },
    ]),
  ).toEqual([`ghcr.io/team/model: ${name} has 12.3 GB, and GitHub Container Registry takes layers of up to 10 GB: ${remedy}`]);
});

test('exactly the limit is allowed', async () => {
  expect(await warnings({ service: 'x', maxLayerBytes: 10 * GB }, [{ name: 'a', size: 10 * GB }])).toEqual([]);
  expect(await warnings({ service: 'x', maxLayerBytes: 10 * GB }, [{ name: 'a', size: 10 * GB + 1 }])).toHaveLength(1);
});

test('a layer that a short time allows on fast links only', async () => {
  expect(await warnings(github, [{ name: 'a.gguf', size: 6 * GB }])).toEqual([]);
  expect(await warnings(github, [{ name: 'a.gguf', size: 9 * GB }])).toEqual([
    'ghcr.io/team/model: a.gguf has 9 GB, and GitHub Container Registry breaks uploads off after 10 minutes: it takes 15 MB/s to get it ' +
      'there; smaller layers need less (split it, `llama-gguf-split --split --split-max-size 4G IN.gguf OUT`, or push to a registry that takes it)',
  ]);
});

test('what the registry has already is not told', async () => {
  const blob = { name: 'a', size: 20 * GB, descriptor: descriptorOf('x', Buffer.from('')) };
  expect(await warnings(github, [blob], true)).toEqual([]);
  expect(await warnings(github, [blob], false)).toHaveLength(1);
});

test('where nothing is known, nothing is told', async () => {
  expect(await warnings(undefined, [{ name: 'a', size: 1e15 }])).toEqual([]);
  expect(await warnings({ service: 'harbor.corp' }, [{ name: 'a', size: 1e15 }])).toEqual([]);
});

test('a blob is called by its title, its path, or its digest', () => {
  const blob = descriptorOf('x', Buffer.from('abc'));
  expect(plannedBlob(blob).name).toBe(blob.digest);
  expect(plannedBlob({ ...blob, annotations: { 'org.cncf.model.filepath': 'p' } }).name).toBe('p');
  expect(plannedBlob({ ...blob, annotations: { 'org.cncf.model.filepath': 'p', 'org.opencontainers.image.title': 't' } }).name).toBe('t');
  expect(plannedBlob(blob, () => 'label').name).toBe('label');
});
