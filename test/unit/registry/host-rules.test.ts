import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { endpointOf } from '../../../src/registry/endpoint.ts';
import { HOST_TABLE, hostRules } from '../../../src/registry/host-rules.ts';
import { matchesHost, type RegistrySettings, settingsFor, settingsForUrl } from '../../../src/registry/settings.ts';
import { addEmptyManifest, connect, randomBlob } from '../../support/registry-client.ts';
import { createRegistryClient } from '../../../src/registry/client.ts';

describe('the table of hosts', () => {
  test.each([
    ['docker.io', 'Docker Hub'],
    ['registry-1.docker.io', 'Docker Hub'],
    ['ghcr.io', 'GitHub Container Registry'],
    ['containers.octocorp.ghe.com', 'GitHub Container Registry'],
    ['public.ecr.aws', 'Amazon ECR Public'],
    ['123456789012.dkr.ecr.eu-central-1.amazonaws.com', 'Amazon ECR'],
    ['europe-docker.pkg.dev', 'Google Artifact Registry'],
    ['gcr.io', 'Google Artifact Registry'],
    ['eu.gcr.io', 'Google Artifact Registry'],
    ['team.azurecr.io', 'Azure Container Registry'],
    ['registry.gitlab.com', 'GitLab Container Registry'],
    ['quay.io', 'Quay.io'],
    ['GHCR.io', 'GitHub Container Registry'],
  ])('%s is %s', (registry, service) => {
    expect(hostRules(registry).service).toBe(service);
  });

  test.each(['evilghcr.io', 'ghcr.io.evil.com', 'azurecr.io.evil.com', 'harbor.corp', 'localhost:5000', 'azurecr.io', 'ghcr.io:444'])(
    '%s is none of them, and nothing is known of it',
    (registry) => {
      expect(hostRules(registry)).toEqual({ service: registry });
    },
  );

  test('each service is described in the documentation, with its limit', () => {
    const docs = readFileSync(join(import.meta.dirname, '../../../docs/registries.md'), 'utf8');
    for (const { service, maxLayerBytes } of HOST_TABLE) {
      const row = docs.split('\n').find((line) => line.startsWith(`| ${service} |`));
      expect(row, service).toBeDefined();
      expect(row?.replaceAll(',', '')).toContain(maxLayerBytes === undefined ? service : `${maxLayerBytes} bytes`);
    }
  });

  test('what is configured takes its place', () => {
    const settings: RegistrySettings = { host: 'ghcr.io', maxLayerBytes: 'none', referrers: 'api', deletion: true, chunkSize: 'never' };
    expect(hostRules('ghcr.io', settings)).toMatchObject({ maxLayerBytes: undefined, referrers: 'api', deletion: true, chunks: 'never' });
    expect(hostRules('harbor.corp', { host: 'harbor.corp', maxLayerBytes: 5, chunkSize: 7 })).toEqual({
      service: 'harbor.corp',
      maxLayerBytes: 5,
      chunks: { maximum: 7 },
    });
    expect(endpointOf('ghcr.io', undefined, { host: 'ghcr.io', referrers: 'api' }).rules.referrers).toBe('api');
  });
});

describe('settings', () => {
  const all: RegistrySettings[] = [
    { host: '*.corp' },
    { host: '*.eu.corp' },
    { host: 'a.eu.corp' },
    { host: 'docker.io' },
    { host: 'x:444' },
  ];

  test.each([
    ['b.corp', '*.corp'],
    ['b.eu.corp', '*.eu.corp'],
    ['a.eu.corp', 'a.eu.corp'],
    ['A.EU.corp', 'a.eu.corp'],
    ['registry-1.docker.io', 'docker.io'],
    ['corp', undefined],
    ['x', undefined],
  ])('for %s are those of %s', (host, expected) => {
    expect(settingsFor(all, host)?.host).toBe(expected);
  });

  test('are found by URL, with the port written out or not', () => {
    expect(settingsForUrl(all, new URL('https://x:444/v2/'))?.host).toBe('x:444');
    expect(settingsForUrl([{ host: 'x:443' }], new URL('https://x/'))?.host).toBe('x:443');
    expect(settingsForUrl([{ host: 'x:443' }], new URL('http://x/'))).toBeUndefined();
    expect(settingsForUrl(undefined, new URL('https://x/'))).toBeUndefined();
  });

  test('a wildcard stands for a part of a name at least', () => {
    expect(matchesHost('*.corp', '.corp')).toBe(false);
    expect(matchesHost('*.corp', 'evilcorp')).toBe(false);
  });
});

describe('what the rules change', () => {
  test('a registry without the referrers API is not asked for it', async () => {
    const { client, registry } = await connect({}, (host) => ({ registries: [{ host, referrers: 'tag' }] }));
    const { blob } = randomBlob(1);
    expect(await Array.fromAsync(client.repository(registry.host, 'team/model').referrers(blob.digest))).toEqual([]);
    expect(registry.log().map((line) => line.split(' ')[1])).toEqual([`/v2/team/model/manifests/${blob.digest.replace(':', '-')}`]);
  });

  test('a registry that is known to delete nothing is refused with the way that there is', () => {
    const client = createRegistryClient();
    expect(() => client.repository('ghcr.io', 'team/model').checkDeletion()).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED', hint: expect.stringContaining('gh api --method DELETE') as unknown }) as Error,
    );
    expect(() => client.repository('docker.io', 'team/model').checkDeletion()).not.toThrow();
  });

  test('nothing is sent to a registry that deletes nothing', async () => {
    const { client, registry } = await connect({}, (host) => ({ registries: [{ host, deletion: false }] }));
    const repository = client.repository(registry.host, 'team/model');
    const { digest } = randomBlob(1).blob;
    await expect(repository.deleteManifest(digest)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(repository.deleteTag('v1')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(registry.requests).toEqual([]);
  });

  test('a registry that refuses to delete is named with the way that there is', async () => {
    const { client, registry } = await connect({ behaviour: { deletes: 'none' } });
    const { blob } = await addEmptyManifest(registry);
    await expect(client.repository(registry.host, 'team/model').deleteManifest(blob.digest)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('set up to allow deletion') as unknown,
    });
  });

  test('where chunks are no way out, a body that is too large is an error with the limit', async () => {
    const { client, registry } = await connect({ behaviour: { maxPut: 1000 } }, (host) => ({
      registries: [{ host, chunkSize: 'never', maxLayerBytes: 2e9 }],
    }));
    const { blob, bytes } = randomBlob(2500);
    const upload = client.repository(registry.host, 'team/model').uploadBlob(blob, { size: 2500, open: (range) => part(bytes, range) });
    await expect(upload).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      hint: expect.stringContaining('layers of up to 2.0 GB') as unknown,
    });
    expect(registry.requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
  });

  test('a configured chunk size is kept to', async () => {
    const { client, registry } = await connect({}, (host) => ({ registries: [{ host, chunkSize: 1000 }] }));
    const { blob, bytes } = randomBlob(2500);
    await client.repository(registry.host, 'team/model').uploadBlob(blob, { size: 2500, open: (range) => part(bytes, range) });
    expect(registry.requests.filter(({ method }) => method === 'PATCH').map(({ received }) => received)).toEqual([1000, 1000, 500]);
  });
});

async function* part(bytes: Buffer, range?: { start: number; end: number }): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(range?.start, range?.end);
}
