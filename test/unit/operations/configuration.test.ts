import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { configuredNetwork, readConfiguration } from '../../../src/operations/configuration.ts';

async function home(text?: string): Promise<{ home: string; env: Record<string, string> }> {
  const folder = await mkdtemp(join(tmpdir(), 'config-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  if (text !== undefined) await writeFile(join(folder, 'config.toml'), text);
  // an empty file: nothing of this machine is seen
  await writeFile(join(folder, 'registries.conf'), '');
  return { home: folder, env: { HOME: folder, CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf') } };
}

const read = async (text?: string) => {
  const { home: folder, env } = await home(text);
  return { folder, ...(await readConfiguration(folder, env)) };
};

describe('config.toml', () => {
  test('without one nothing is configured', async () => {
    expect(await read()).toMatchObject({ registries: [], mirrors: [], env: {} });
  });

  test('every key', async () => {
    const { folder, registries, mirrors, env } = await read(`
      proxy = "http://proxy.corp:3128"
      no-proxy = ".corp"
      registries-conf = true

      [registry."ghcr.io"]
      plain-http = false
      tls-verify = true
      tls-cert = "ca.pem"
      cert = "/etc/kit/client.pem"
      key = "keys/client.key"
      proxy = "none"
      chunk-size = "4MiB"
      max-layer = "9.5 GB"
      referrers = "api"
      deletion = true

      [[registry."ghcr.io".mirror]]
      location = "harbor.corp/ghcr/"
      pull-from-mirror = "digest-only"
      credentials = "ghcr.io"
      headers = { X-Dragonfly-Registry = "https://ghcr.io" }

      [registry."*.lab.corp"]
      plain-http = true
      chunk-size = "none"
      max-layer = "none"
      tls-cert = ["a.pem", "/b.pem"]

      [[registry."quay.io/team".mirror]]
      location = "mirror:5000"
    `);
    expect(env).toEqual({ HTTP_PROXY: 'http://proxy.corp:3128', HTTPS_PROXY: 'http://proxy.corp:3128', NO_PROXY: '.corp' });
    expect(registries).toEqual([
      {
        host: 'ghcr.io',
        plainHttp: false,
        tlsVerify: true,
        caFiles: [join(folder, 'ca.pem')],
        clientCert: '/etc/kit/client.pem',
        clientKey: join(folder, 'keys/client.key'),
        proxy: 'none',
        chunkSize: 4 * 1024 * 1024,
        maxLayerBytes: 9_500_000_000,
        referrers: 'api',
        deletion: true,
      },
      { host: '*.lab.corp', plainHttp: true, chunkSize: 'never', maxLayerBytes: 'none', caFiles: [join(folder, 'a.pem'), '/b.pem'] },
    ]);
    expect(mirrors.map(({ prefix, mirrors: [mirror] }) => [prefix, mirror])).toEqual([
      [
        'ghcr.io',
        {
          location: 'harbor.corp/ghcr',
          pullFromMirror: 'digest-only',
          credentials: 'ghcr.io',
          headers: { 'X-Dragonfly-Registry': 'https://ghcr.io' },
        },
      ],
      ['quay.io/team', { location: 'mirror:5000' }],
    ]);
  });

  test.each([
    ['proxy = "http://x', /config\.toml:1:\d+: /, undefined],
    ['proxi = "x"', /unknown key `proxi`$/, 'did you mean `proxy`?'],
    ['[registry."ghcr.io"]\nplain_http = true', /registry\."ghcr\.io": unknown key `plain_http`$/, 'did you mean `plain-http`?'],
    [
      '[[registry."ghcr.io".mirror]]\nlocation = "a"\nurl = "b"',
      /registry\."ghcr\.io"\.mirror\.0: unknown key `url`/,
      'known are location',
    ],
    ['[[registry."ghcr.io".mirror]]\nlocation = "https://a"', /mirror\.0\.location: must be HOST/, undefined],
    ['[registry."https://ghcr.io"]', /must be HOST/, undefined],
    ['[registry."ghcr.io/team"]\nplain-http = true', /is a setting of a whole registry/, 'put it under [registry."ghcr.io"]'],
    ['[registry."ghcr.io"]\ncert = "x"', /needs both cert and key/, undefined],
    ['[registry."ghcr.io"]\nmax-layer = "10 apples"', /max-layer: .*must be a size such as 64MiB/, undefined],
    ['[registry."ghcr.io"]\nchunk-size = 0', /chunk-size/, undefined],
    ['[registry."ghcr.io"]\nproxy = "socks5://x"', /proxy: must be http/, undefined],
    ['[registry."ghcr.io"]\nreferrers = "yes"', /referrers/, undefined],
    ['[[registry."a.b".mirror]]\nlocation = "a"\nheaders = { "X-A" = "a\\nb" }', /headers/, undefined],
  ])('%j is an error that names file and key', async (text, message, hint) => {
    const error: unknown = await read(text).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain('config.toml');
    expect((error as { hint?: string }).hint ?? '').toContain(hint ?? '');
  });

  test('KIT_CONFIG names another file, which must exist', async () => {
    const { home: folder, env } = await home('proxy = "http://a:1"');
    await writeFile(join(folder, 'other.toml'), 'proxy = "http://b:1"');
    const chosen = await readConfiguration(folder, { ...env, KIT_CONFIG: join(folder, 'other.toml') });
    expect(chosen.env['HTTP_PROXY']).toBe('http://b:1');
    await expect(readConfiguration(folder, { ...env, KIT_CONFIG: join(folder, 'none.toml') })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  test('the environment comes before the configuration, in either spelling', async () => {
    const { home: folder, env } = await home('proxy = "http://a:1"\nno-proxy = "x"');
    const network = await configuredNetwork({ home: folder, env: { ...env, https_proxy: 'http://b:1', NO_PROXY: '' } });
    expect(network.env).toMatchObject({ HTTP_PROXY: 'http://a:1', https_proxy: 'http://b:1', NO_PROXY: '' });
    expect(network.env).not.toHaveProperty('HTTPS_PROXY');
  });

  test('registries.conf is read too, below the own file, unless it is turned off', async () => {
    const conf = '[[registry]]\nlocation = "ghcr.io"\n[[registry.mirror]]\nlocation = "theirs:5000"\ninsecure = true\n';
    const own = '[[registry."ghcr.io".mirror]]\nlocation = "ours"\n';
    const { home: folder, env } = await home(own);
    await writeFile(join(folder, 'registries.conf'), conf);
    const both = await readConfiguration(folder, env);
    expect(both.mirrors.map(({ prefix, mirrors }) => [prefix, mirrors[0]?.location])).toEqual([
      ['ghcr.io', 'ours'],
      ['ghcr.io', 'theirs:5000'],
    ]);
    // `insecure` is about certificates, also where nothing is mirrored
    expect(both.registries).toContainEqual({ host: 'theirs:5000', tlsVerify: false });
    await writeFile(join(folder, 'config.toml'), `registries-conf = false\n${own}`);
    expect((await readConfiguration(folder, env)).mirrors).toHaveLength(1);
    expect((await readConfiguration(folder, env)).registries.map(({ host }) => host)).not.toContain('theirs:5000');
  });
});
