import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { NetworkOptions } from '../../../src/registry/options.ts';
import { startRegistry } from '../../support/registry.ts';
import { collect, connect, emptyManifest, randomBlob } from '../../support/registry-client.ts';

const https = (options: NetworkOptions) => () => ({ plainHttp: false, ...options });
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

const lenient = (host: string) => ({ plainHttp: false, registries: [{ host, tlsVerify: false }] });

describe.skipIf(!hasOpenssl)('TLS', () => {
  let directory: string;
  let cert: string;
  let key: string;
  const path = (name: string) => join(directory, name);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tls-'));
    // serves as authority, server and client certificate at once
    const subject = ['-subj', '/CN=test registry', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const files = ['-keyout', path('key.pem'), '-out', path('cert.pem')];
    const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    spawnSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...algorithm, ...subject, ...files]);
    [cert, key] = await Promise.all([readFile(path('cert.pem'), 'utf8'), readFile(path('key.pem'), 'utf8')]);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('an unknown authority is refused, with the ways out', async () => {
    const { target, registry } = await connect({ tls: { cert, key } }, https({}));
    await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
      code: 'TLS_FAILED',
      message: expect.stringContaining(registry.host) as unknown,
      hint: expect.stringMatching(/--tls-cert .*--tls-verify=false.*--plain-http/) as unknown,
    });
    expect(registry.requests).toEqual([]);
  });

  test('a certificate that has expired says so, and what to do', async () => {
    spawnSync('openssl', ['req', '-new', '-key', path('key.pem'), '-subj', '/CN=127.0.0.1', '-out', path('old.csr')]);
    spawnSync('openssl', ['x509', '-req', '-in', path('old.csr'), '-signkey', path('key.pem'), '-days', '-1', '-out', path('old.pem')]);
    const old = await readFile(path('old.pem'), 'utf8');
    const { target } = await connect({ tls: { cert: old, key } }, https({ caFiles: [path('old.pem')] }));
    await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
      code: 'TLS_FAILED',
      message: expect.stringContaining('CERT_HAS_EXPIRED') as unknown,
      hint: expect.stringContaining('clock') as unknown,
    });
  });

  test('an authority from a file is trusted', async () => {
    const { target } = await connect({ tls: { cert, key } }, https({ caFiles: [path('cert.pem')] }));
    expect(await target.has(randomBlob(1).blob)).toBe(false);
  });

  test('the check can be skipped', async () => {
    const { target } = await connect({ tls: { cert, key } }, https({ tlsVerify: false }));
    expect(await target.has(randomBlob(1).blob)).toBe(false);
  });

  describe.each(['socket', 'parser'] as const)('with bodies read by %s', (bodyReader) => {
    const reading = (options: NetworkOptions) => https({ bodyReader, ...options });

    test('an unknown authority is refused before anything is asked', async () => {
      const { target, registry } = await connect({ tls: { cert, key } }, reading({}));
      await expect(target.fetch(randomBlob(1).blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
      expect(registry.requests).toEqual([]);
    });

    test('a certificate for another name is refused', async () => {
      const { client, registry } = await connect({ tls: { cert, key } }, reading({ caFiles: [path('cert.pem')] }));
      const { blob } = randomBlob(1);
      const repository = client.repository(registry.host.replace('127.0.0.1', 'localhost'), 'team/model');
      await expect(repository.fetchBlob(blob)).rejects.toMatchObject({
        code: 'TLS_FAILED',
        message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID') as unknown,
        hint: expect.stringContaining('a name that the certificate was issued for') as unknown,
      });
      expect(registry.requests).toEqual([]);
    });

    test('a trusted authority serves blobs, with a client certificate where it wants one', async () => {
      const options = { caFiles: [path('cert.pem')], clientCert: path('cert.pem'), clientKey: path('key.pem') };
      const { target, registry } = await connect({ tls: { cert, key, clientCa: cert } }, reading(options));
      const { blob, bytes } = randomBlob(3_000_000);
      await registry.addBlob('team/model', bytes);
      for (const range of [undefined, { start: 5, end: 2_000_000 }]) {
        const read = await collect(await target.fetch(blob, range === undefined ? {} : { range }));
        expect(read.equals(bytes.subarray(range?.start, range?.end))).toBe(true);
      }
    });

    test('a server without TLS is named as such', async () => {
      const { target } = await connect({}, reading({}));
      await expect(target.fetch(randomBlob(1).blob)).rejects.toMatchObject({
        code: 'TLS_FAILED',
        hint: expect.stringContaining('--plain-http') as unknown,
      });
    });
  });

  test('a client certificate is shown', async () => {
    const options = { caFiles: [path('cert.pem')] };
    const tls = { cert, key, clientCa: cert };
    const without = await connect({ tls }, https(options));
    // TLS 1.3 tells after the handshake: the alert and the end of the connection race
    await expect(without.target.has(randomBlob(1).blob)).rejects.toMatchObject({
      code: expect.stringMatching(/^(TLS_FAILED|NETWORK)$/) as unknown,
    });
    expect(without.registry.requests).toEqual([]);
    const { target } = await connect({ tls }, https({ ...options, clientCert: path('cert.pem'), clientKey: path('key.pem') }));
    expect(await target.has(randomBlob(1).blob)).toBe(false);
  });

  test('skipping the check never falls back to http', async () => {
    const { target, registry } = await connect({}, https({ tlsVerify: false }));
    await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
      code: 'TLS_FAILED',
      hint: expect.stringContaining('--plain-http') as unknown,
    });
    expect(registry.requests).toEqual([]);
  });

  test.each(['blobs', 'token', 'upload'] as const)('an https registry cannot send %s to plain http', async (what) => {
    const plain = 'http://127.0.0.1:1' as const;
    const behaviour = what === 'blobs' ? { redirectBlobs: plain } : what === 'upload' ? { location: plain } : {};
    const { target, registry } = await connect(
      {
        tls: { cert, key },
        behaviour,
        ...(what === 'token' ? { auth: { type: 'bearer', username: 'u', password: 'p', realm: `${plain}/token` } } : {}),
      },
      (host) => ({ plainHttp: false, tlsVerify: false, credentials: { [host]: { username: 'u', password: 'p' } } }),
    );
    const { blob, bytes } = randomBlob(10);
    await registry.addBlob('team/model', bytes);
    const other = randomBlob(10);
    const call = what === 'upload' ? target.push(other.blob, { size: 10, open: () => neverOpened() }) : target.fetch(blob);
    await expect(call).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringMatching(/https to http|without TLS/) as unknown,
    });
  });

  test('settings of a host are for that host', async () => {
    const { client, registry } = await connect({ tls: { cert, key, clientCa: cert } }, (host) => ({
      plainHttp: false,
      registries: [{ host, caFiles: [path('cert.pem')], clientCert: path('cert.pem'), clientKey: path('key.pem') }],
    }));
    const { blob, bytes } = randomBlob(1000);
    await registry.addBlob('team/model', bytes);
    const repository = client.repository(registry.host, 'team/model');
    expect(await repository.hasBlob(blob)).toBe(true);
    expect((await collect(await repository.fetchBlob(blob))).equals(bytes)).toBe(true);
    const other = await startRegistry({ tls: { cert, key } });
    onTestFinished(() => other.close());
    await expect(client.repository(other.host, 'team/model').hasBlob(blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
    await expect(client.repository(other.host, 'team/model').fetchBlob(blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
  });

  test('what the command line says of certificates comes first', async () => {
    const settings = { tls: { cert, key } };
    expect(await (await connect(settings, lenient)).target.has(randomBlob(1).blob)).toBe(false);
    const strict = await connect(settings, (host) => ({ ...lenient(host), tlsVerify: true }));
    await expect(strict.target.has(randomBlob(1).blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
  });

  const withFolder = async (files: readonly string[]) => {
    const home = await mkdtemp(join(tmpdir(), 'certs-'));
    onTestFinished(() => rm(home, { recursive: true, force: true }));
    const connection = await connect({ tls: { cert, key, clientCa: cert } }, () => ({ plainHttp: false, env: { HOME: home } }));
    const folder = join(home, '.config', 'containers', 'certs.d', connection.registry.host);
    await mkdir(folder, { recursive: true });
    for (const file of files) await writeFile(join(folder, file), file.endsWith('.key') ? key : cert);
    return connection;
  };

  describe('the folder certs.d of docker and podman', () => {
    test('its authorities and its client certificate are used', async () => {
      const { target } = await withFolder(['ca.crt', 'client.cert', 'client.key']);
      expect(await target.has(randomBlob(1).blob)).toBe(false);
    });

    test('a certificate without its key is none', async () => {
      const { target } = await withFolder(['ca.crt', 'client.cert', 'other.key']);
      await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
        code: expect.stringMatching(/^(TLS_FAILED|NETWORK)$/) as unknown,
      });
    });

    test('an empty one leaves all as it is', async () => {
      const { target } = await withFolder([]);
      await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
    });
  });

  test('an insecure mirror is asked with any certificate, and over http where it has none', async () => {
    for (const tls of [{ cert, key }, undefined]) {
      const mirror = await startRegistry(tls === undefined ? {} : { tls });
      onTestFinished(() => mirror.close());
      await mirror.addBlob('team/model', Buffer.from('{}'));
      const { digest } = mirror.addManifest('team/model', emptyManifest(), 'v1');
      const { client, registry } = await connect({}, (host) => ({
        registries: [{ host: mirror.host, tlsVerify: false }],
        mirrors: [{ prefix: host, file: 'conf', mirrors: [{ location: mirror.host, insecure: true }] }],
      }));
      expect((await client.source(registry.host, 'team/model', 'v1').resolveManifest('v1')).digest).toBe(digest);
      expect(registry.requests).toEqual([]);
    }
  });

  test('files that cannot be used are named', async () => {
    await writeFile(path('junk.pem'), 'junk');
    await writeFile(path('broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const cases: Array<[NetworkOptions, string]> = [
      [{ caFiles: [path('missing.pem')] }, 'missing.pem'],
      [{ caFiles: [path('junk.pem')] }, 'junk.pem'],
      [{ clientCert: path('cert.pem') }, 'needs its key'],
      [{ clientKey: path('key.pem') }, 'needs its certificate'],
      [{ clientCert: path('broken.pem'), clientKey: path('key.pem') }, 'broken.pem'],
    ];
    for (const [options, named] of cases) {
      const { target } = await connect({ tls: { cert, key } }, https(options));
      await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(named) as unknown,
      });
    }
  });
});

function neverOpened(): AsyncIterable<Uint8Array> {
  throw new Error('the body was sent');
}

test('a certificate hint is for certificates only: a missing host is a network error', async () => {
  const { client } = await connect();
  await expect(client.ping('registry.invalid')).rejects.toMatchObject({ code: 'NETWORK' });
});
