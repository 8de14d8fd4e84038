import { describe, expect, test } from 'vitest';
import { isLoopbackHost, isPrivateHost } from '../../../src/registry/address.ts';
import { endpointOf, repositoryPath } from '../../../src/registry/endpoint.ts';
import { uploadLocation, withQuery } from '../../../src/registry/location.ts';
import { plainText, redactUrl } from '../../../src/registry/redact.ts';

describe('the origin of a registry', () => {
  test.each([
    ['ghcr.io', undefined, 'https://ghcr.io'],
    ['localhost:5000', undefined, 'http://localhost:5000'],
    ['127.1.2.3:5000', undefined, 'http://127.1.2.3:5000'],
    ['[::1]:5000', undefined, 'http://[::1]:5000'],
    ['localhost:5000', false, 'https://localhost:5000'],
    ['registry.corp:8080', true, 'http://registry.corp:8080'],
    ['registry.corp:443', true, 'http://registry.corp:443'],
    ['registry.corp:443', undefined, 'https://registry.corp'],
    ['localhost.evil.com', undefined, 'https://localhost.evil.com'],
    ['10.0.0.1', undefined, 'https://10.0.0.1'],
    ['docker.io', undefined, 'https://registry-1.docker.io'],
  ])('%s with plainHttp %s', (registry, plainHttp, origin) => {
    expect(endpointOf(registry, plainHttp).origin).toBe(origin);
  });

  test.each(['user@ghcr.io', 'ghcr.io/x', 'ghcr.io?x', 'ghcr.io#x', '', 'a b', 'ghcr.io/', 'ghcr.io:99999'])('`%s` is none', (registry) => {
    expect(() => endpointOf(registry, undefined)).toThrowError(expect.objectContaining({ code: 'REFERENCE_INVALID' }) as Error);
  });

  test('Docker Hub keeps one-word names under library/', () => {
    expect(repositoryPath('docker.io', 'model')).toBe('library/model');
    expect(repositoryPath('docker.io', 'team/model')).toBe('team/model');
    expect(repositoryPath('ghcr.io', 'model')).toBe('model');
  });
});

describe('addresses', () => {
  test.each(['localhost', 'a.localhost', '127.0.0.1', '127.255.0.1', '[::1]', '[::ffff:127.0.0.1]'])('%s is loopback', (host) => {
    expect(isLoopbackHost(host)).toBe(true);
    expect(isPrivateHost(host)).toBe(true);
  });

  test.each([
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '[fd00::1]',
    '[fe80::1]',
    '[::]',
    '[::ffff:10.0.0.1]',
  ])('%s is private', (host) => {
    expect(isPrivateHost(host)).toBe(true);
    expect(isLoopbackHost(host)).toBe(false);
  });

  test.each(['ghcr.io', '8.8.8.8', '172.32.0.1', '[2606:4700::1]', 'localhost.evil.com', 'notlocalhost'])('%s is public', (host) => {
    expect(isPrivateHost(host)).toBe(false);
  });
});

describe('upload locations', () => {
  const secure = endpointOf('ghcr.io', undefined);
  const local = endpointOf('localhost:5000', undefined);
  const at = new URL('https://ghcr.io/v2/a/blobs/uploads/');

  test('relative ones belong to the registry', () => {
    expect(uploadLocation('/v2/a/blobs/uploads/1?_state=a%2Bb', at, secure).href).toBe('https://ghcr.io/v2/a/blobs/uploads/1?_state=a%2Bb');
  });

  test('another public https origin is taken', () => {
    expect(uploadLocation('https://storage.example.com/x', at, secure).href).toBe('https://storage.example.com/x');
  });

  test.each([
    [undefined, 'names no upload location'],
    ['http://ghcr.io/x', 'without TLS'],
    ['https://169.254.169.254/x', 'private address'],
    ['https://[::1]/x', 'private address'],
    ['https://0x7f000001/x', 'private address'],
    ['https://localhost/x', 'private address'],
    ['https://user:pass@storage.example.com/x', 'not an http URL'],
    ['ftp://ghcr.io/x', 'not an http URL'],
    ['file:///etc/passwd', 'not an http URL'],
  ])('%s is refused', (location, why) => {
    expect(() => uploadLocation(location, at, secure)).toThrowError(why);
    expect(() => uploadLocation(location, at, secure)).toThrowError(expect.objectContaining({ code: 'REGISTRY_ERROR' }) as Error);
  });

  test('a local registry may use local storage', () => {
    const requested = new URL('http://localhost:5000/v2/a/blobs/uploads/');
    expect(uploadLocation('http://127.0.0.1:9000/bucket', requested, local).host).toBe('127.0.0.1:9000');
  });

  test('a digest is added without rewriting the query', () => {
    const signed = 'https://x.example/u?_state=a%2Bb%3D&Sig=%7E';
    expect(withQuery(new URL(signed), 'digest=sha256%3Aab').href).toBe(`${signed}&digest=sha256%3Aab`);
    expect(withQuery(new URL('https://x.example/u'), 'digest=d').href).toBe('https://x.example/u?digest=d');
  });
});

describe('text for messages', () => {
  test('a URL loses user info and the values of its query', () => {
    expect(redactUrl(new URL('https://user:pass@s3.example/b/k?X-Sig=secret&X-Sig=2&e=1#f'))).toBe(
      'https://s3.example/b/k?X-Sig=...&e=...',
    );
    expect(redactUrl(new URL('https://ghcr.io/v2/'))).toBe('https://ghcr.io/v2/');
  });

  test('control characters, terminal sequences and length are taken away', () => {
    expect(plainText('a\u001b[31mred\u001b[0m\n\tb\u202Ec')).toBe('a [31mred [0m b c');
    expect(plainText('x'.repeat(5000)).length).toBeLessThan(310);
  });
});
