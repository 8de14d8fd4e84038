import { utimesSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { push } from '../../../src/operations/transfer/push.ts';
import { startRegistry, type TestRegistry } from '../../support/registry.ts';
import { type Workspace, workspace } from './sandbox.ts';

const LAYER = Buffer.from('a layer that is large, in the real world');

async function registryFor(): Promise<TestRegistry> {
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  return registry;
}

/** Puts an artifact with these layers and the tag `v1` into the store under a name. */
async function keep({ kit }: Workspace, name: string, layers: readonly Uint8Array[]): Promise<Descriptor> {
  const target = (await kit.store()).repository(name);
  const save = async (mediaType: string, bytes: Uint8Array): Promise<Descriptor> => {
    const blob = descriptorOf(mediaType, bytes);
    await target.push(blob, bytesSource(bytes));
    return blob;
  };
  const config = await save(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  const saved: Descriptor[] = [];
  for (const layer of layers) saved.push(await save('application/octet-stream', layer));
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      config,
      layers: saved,
      // each name has a manifest of its own
      annotations: { name },
    }),
  );
  const manifest = await save(MEDIA_TYPE.imageManifest, bytes);
  await target.tag(manifest, 'v1');
  return manifest;
}

const to = (registry: TestRegistry, name: string) => ({ source: parseLocation(`${registry.host}/${name}:v1`) });

/** What was asked to be mounted from where, in order, for the layer alone. */
function mountsAsked(registry: TestRegistry): (string | null)[] {
  const { digest } = descriptorOf('', LAYER);
  return registry.requests
    .map(({ path }) => new URL(path, registry.url).searchParams)
    .filter((query) => query.get('mount') === digest)
    .map((query) => query.get('from'));
}

describe('a push of what is there already', () => {
  test('costs a HEAD for each blob and manifest', async () => {
    const space = workspace();
    const registry = await registryFor();
    await keep(space, `${registry.host}/team/model`, [LAYER, Buffer.from('two')]);
    await push(space.kit, to(registry, 'team/model'));
    registry.clear();
    await push(space.kit, to(registry, 'team/model'));
    const blob = 'HEAD /v2/team/model/blobs/DIGEST -> 200';
    expect(registry.log()).toEqual([
      blob,
      blob,
      blob,
      'HEAD /v2/team/model/manifests/DIGEST -> 200',
      'HEAD /v2/team/model/manifests/v1 -> 200',
    ]);
  });

  test('under a new tag adds that', async () => {
    const space = workspace();
    const registry = await registryFor();
    const manifest = await keep(space, `${registry.host}/team/model`, [LAYER]);
    await push(space.kit, to(registry, 'team/model'));
    registry.clear();
    await push(space.kit, { ...to(registry, 'team/model'), destination: parseLocation(`${registry.host}/team/model:v2`) });
    expect(registry.requests.filter(({ method }) => method === 'PUT').map(({ path }) => path)).toEqual(['/v2/team/model/manifests/v2']);
    expect(registry.storage.find('team/model')?.tags.get('v2')).toBe(manifest.digest);
  });
});

describe('a blob that another repository of the registry has', () => {
  test('is mounted from there: its bytes do not move', async () => {
    const space = workspace();
    const registry = await registryFor();
    for (const name of ['team/base', 'team/model']) await keep(space, `${registry.host}/${name}`, [LAYER]);
    await push(space.kit, to(registry, 'team/base'));
    registry.clear();
    await push(space.kit, to(registry, 'team/model'), space.call);
    expect(mountsAsked(registry)).toEqual(['team/base']);
    // the manifest only
    expect(registry.requests.filter(({ method }) => method === 'PUT').every(({ path }) => path.includes('/manifests/'))).toBe(true);
    const { digest } = descriptorOf('', LAYER);
    expect(space.events).toContainEqual({ type: 'done', id: digest, outcome: 'mounted' });
    expect(registry.storage.has('team/model', digest)).toBe(true);
  });

  test('is looked for in the three repositories that came last, and sent when none has it', async () => {
    const space = workspace();
    const registry = await registryFor();
    const { blobs } = await space.kit.store();
    for (const [index, hour] of [3, 5, 1, 4, 2].entries()) {
      const { digest } = await keep(space, `${registry.host}/team/base-${index}`, [LAYER]);
      utimesSync(blobs.pathOf(digest), hour * 3600, hour * 3600);
    }
    await keep(space, `${registry.host}/team/model`, [LAYER]);
    await push(space.kit, to(registry, 'team/model'));
    expect(mountsAsked(registry)).toEqual(['team/base-1', 'team/base-3', 'team/base-0']);
    expect(registry.storage.has('team/model', descriptorOf('', LAYER).digest)).toBe(true);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test.each([202, 401, 403, 500])('is sent where the registry answers the mount with %i', async (status) => {
    const space = workspace();
    const registry = await registryFor();
    for (const name of ['team/base', 'team/model']) await keep(space, `${registry.host}/${name}`, [LAYER]);
    await registry.addBlob('team/base', LAYER);
    if (status === 202) registry.behaviour.mounts = false;
    else registry.behaviour.faults.push(...[1, 2].map(() => ({ match: /^POST.*mount=/, status })));
    await push(space.kit, to(registry, 'team/model'));
    expect(mountsAsked(registry)).toEqual(['team/base']);
    expect(registry.storage.has('team/model', descriptorOf('', LAYER).digest)).toBe(true);
  });

  test('is not looked for elsewhere: other registries, local names, the repository itself', async () => {
    const space = workspace();
    const registry = await registryFor();
    const names = ['team/base', 'ghcr.io/team/base', `${registry.host}0/team/base`, `${registry.host}/team/model`];
    for (const name of names) await keep(space, name, [LAYER]);
    await push(space.kit, to(registry, 'team/model'));
    expect(mountsAsked(registry)).toEqual([]);
  });

  test('is sent where the store has lost the manifest that names it', async () => {
    const space = workspace();
    const registry = await registryFor();
    const base = await keep(space, `${registry.host}/team/base`, [LAYER]);
    await keep(space, `${registry.host}/team/model`, [LAYER]);
    await (await space.kit.store()).blobs.discard(base.digest);
    await push(space.kit, to(registry, 'team/model'));
    expect(mountsAsked(registry)).toEqual([]);
    expect(registry.storage.has('team/model', descriptorOf('', LAYER).digest)).toBe(true);
  });
});
