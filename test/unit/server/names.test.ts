import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { namesOfServer } from '../../../src/server/named-repository.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { openStore } from '../../../src/targets/store.ts';
import { serveLayout, serveStore, type TestServer } from '../../support/kit-serve.ts';
import { pushSample } from '../targets/sample.ts';
import { pushArtifact } from './api.ts';

let server: TestServer;
const json = async (path: string): Promise<unknown> => await (await fetch(server.url + path)).json();
const status = async (method: string, path: string, headers: Record<string, string> = {}): Promise<number> =>
  (await fetch(server.url + path, { method, headers })).status;

test.each([
  ['registry.lan:5000', ['registry.lan:5000', 'localhost:5000', '127.0.0.1:5000']],
  ['LOCALHOST:5000', ['localhost:5000', '127.0.0.1:5000']],
  ['[::1]:5000', ['[::1]:5000', 'localhost:5000', '127.0.0.1:5000']],
  ['../..', ['localhost:5000', '127.0.0.1:5000']],
  ['a/b', ['localhost:5000', '127.0.0.1:5000']],
  [undefined, ['localhost:5000', '127.0.0.1:5000']],
])('a server that is called %s', (host, names) => {
  expect(namesOfServer(host, 5000)).toEqual(names);
});

async function pack(repository: string, tag: string, text: string): Promise<string> {
  const store = await openStore(server.directory.replace(/storage$/, ''));
  const { manifest } = await pushSample(store.repository(repository), text);
  await store.tag(repository, manifest, tag);
  return manifest.digest;
}
const digestAt = async (path: string): Promise<string | null> =>
  (await fetch(server.url + path, { method: 'HEAD' })).headers.get('docker-content-digest');

suite('names in the store', () => {
  beforeEach(async () => {
    server = await serveStore();
  });
  afterEach(() => server.close());

  test('what was packed for this server is found by its short name', async () => {
    const local = await pack('team/model', 'local', 'a');
    const mirrored = await pack(`localhost:${server.port}/team/model`, 'mirrored', 'b');
    await pack('ghcr.io/team/model', 'v1', 'c');
    await pack('other.host:99/team/model', 'v1', 'd');
    expect(await digestAt('/v2/team/model/manifests/local')).toBe(local);
    expect(await digestAt('/v2/team/model/manifests/mirrored')).toBe(mirrored);
    expect(await digestAt('/v2/ghcr.io/team/model/manifests/v1')).not.toBeNull();
    expect(await digestAt('/v2/team/model/manifests/v1')).toBeNull();
    expect(await json('/v2/team/model/tags/list')).toEqual({ name: 'team/model', tags: ['local', 'mirrored'] });
    // a port cannot stand in a path
    expect(await json('/v2/_catalog')).toEqual({ repositories: ['ghcr.io/team/model', 'team/model'] });
  });

  test('a push goes to the short name, which wins', async () => {
    const packed = await pack(`localhost:${server.port}/team/model`, 'v1', 'a');
    const { digest } = await pushArtifact(server, 'team/model', 'v1');
    expect(await digestAt('/v2/team/model/manifests/v1')).toBe(digest);
    expect(await digestAt(`/v2/team/model/manifests/${packed}`)).toBe(packed);
    const store = await openStore(server.directory.replace(/storage$/, ''));
    expect((await store.list()).map(({ repository, tags }) => `${repository}:${String(tags)}`)).toEqual([
      'team/model:v1',
      `localhost:${server.port}/team/model:v1`,
    ]);
  });

  test('what is deleted does not come back from under another name', async () => {
    await pack(`localhost:${server.port}/team/model`, 'v1', 'a');
    await pushArtifact(server, 'team/model', 'v1');
    expect(await status('DELETE', '/v2/team/model/manifests/v1')).toBe(202);
    expect(await status('GET', '/v2/team/model/manifests/v1')).toBe(404);
  });

  test('packs without a name are not served', async () => {
    await pack('', 'v1', 'a');
    expect(await json('/v2/_catalog')).toEqual({ repositories: [] });
    expect(await status('GET', '/v2/_/manifests/v1')).toBe(400);
  });
});

suite('names in a layout', () => {
  beforeEach(async () => {
    server = await serveLayout();
  });
  afterEach(() => server.close());

  test('plain tags belong to the repository that is named after the folder', async () => {
    const layout = await openLayout(server.directory);
    const { manifest } = await pushSample(layout, 'a');
    await layout.tag(manifest, 'v1');
    await layout.tag(manifest, 'team/model:v2');
    await layout.tag(manifest, `localhost:${server.port}/team/model:v3`);
    expect(await json('/v2/layout/tags/list')).toEqual({ name: 'layout', tags: ['v1'] });
    expect(await json('/v2/team/model/tags/list')).toEqual({ name: 'team/model', tags: ['v2', 'v3'] });
    expect(await json('/v2/_catalog')).toEqual({ repositories: ['layout', 'team/model'] });
    expect(await status('GET', '/v2/team/model/manifests/v3')).toBe(200);
    expect(await status('GET', '/v2/team/model/manifests/v1')).toBe(404);
  });

  test('a push to it leaves a plain tag, any other a full name', async () => {
    await pushArtifact(server, 'layout', 'v1');
    await pushArtifact(server, 'team/model', 'v1', { layer: 'another' });
    const layout = await openLayout(server.directory);
    expect(await Array.fromAsync(layout.can.tags?.() ?? [])).toEqual(['v1', 'team/model:v1']);
    expect(await status('DELETE', '/v2/layout/manifests/v1')).toBe(202);
    expect(await Array.fromAsync(layout.can.tags?.() ?? [])).toEqual(['team/model:v1']);
  });
});
