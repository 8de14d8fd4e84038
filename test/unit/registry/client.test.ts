import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { createRegistryClient } from '../../../src/registry/client.ts';
import { remoteRepository } from '../../../src/targets/remote.ts';
import { addEmptyManifest, connect, randomBlob } from '../../support/registry-client.ts';

describe('a remote repository', () => {
  test('has its name and says what it can do', async () => {
    const { target, registry } = await connect();
    expect(target.name).toBe(`${registry.host}/team/model`);
    expect(Object.keys(target.can)).toEqual(expect.arrayContaining(['mount', 'remove', 'tags', 'untag']));
  });

  test('sends the user agent, and asks for bytes as they are', async () => {
    const { target, registry } = await connect({}, () => ({ userAgent: 'kit/1.2.3' }));
    await target.has(randomBlob(1).blob);
    expect(registry.requests[0]?.headers).toMatchObject({ 'user-agent': 'kit/1.2.3', 'accept-encoding': 'identity' });
  });

  test('names Docker Hub as users do', () => {
    const target = remoteRepository(createRegistryClient(), 'docker.io', 'model');
    expect(target.name).toBe('docker.io/model');
  });

  test('reuses connections, after answers and after errors', async () => {
    const { target, registry } = await connect();
    await addEmptyManifest(registry, 'v1');
    for (let round = 0; round < 5; round++) {
      await expect(target.fetch(randomBlob(1).blob)).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
      await target.resolve('v1');
    }
    // a request may start a moment before the connection of the last one is free
    expect(registry.requests).toHaveLength(10);
    expect(new Set(registry.requests.map(({ port }) => port)).size).toBeLessThan(5);
  });

  test('a registry that needs a repository to be made first says so on push', async () => {
    const { target, registry } = await connect();
    const body = JSON.stringify({ errors: [{ code: 'NAME_UNKNOWN', message: 'The repository does not exist' }] });
    registry.behaviour.faults.push({ match: /^POST/, status: 404, body });
    const { blob, bytes } = randomBlob(10);
    await expect(target.push(blob, bytesSource(bytes))).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      hint: expect.stringContaining('create the repository') as unknown,
    });
  });
});

describe('errors', () => {
  test.each([
    [403, 'DENIED'],
    [404, 'BLOB_NOT_FOUND'],
    [405, 'UNSUPPORTED'],
    [400, 'REGISTRY_ERROR'],
    [418, 'REGISTRY_ERROR'],
    [501, 'REGISTRY_ERROR'],
  ] as const)('%i is %s', async (status, code) => {
    const { target, registry } = await connect();
    registry.behaviour.faults.push({ status });
    await expect(target.fetch(randomBlob(1).blob)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`: ${status} `) as unknown,
    });
  });

  test.each([
    [
      '{"errors":[{"code":"DENIED","message":"requested access\\u001b[31m is denied","detail":"why"}]}',
      'DENIED: requested access [31m is denied: why',
    ],
    ['{"errors":[]}', '{"errors":[]}'],
    ['{"errors":[7]}', '{"errors":[7]}'],
    ['<html><head><title>502 Bad\nGateway</title></head><body>nginx</body></html>', '502 Bad Gateway'],
    ['<p>plain <b>words</b></p>', 'plain words'],
    ['just text\u0000', 'just text'],
    ['', '418'],
  ])('the body %s is shown as %s', async (body, shown) => {
    const { target, registry } = await connect();
    registry.behaviour.faults.push({ status: 418, body });
    await expect(target.fetch(randomBlob(1).blob)).rejects.toThrowError(`${shown})`);
  });

  test('a body without end is not read to its end', async () => {
    const { target, registry } = await connect();
    registry.behaviour.faults.push({ status: 418, body: 'x'.repeat(50_000_000) });
    const failure: unknown = await target.fetch(randomBlob(1).blob).catch((error: unknown) => error);
    expect(String(failure).length).toBeLessThan(1000);
    // the server could not send all of it
    expect(registry.requests[0]?.status).toBe(0);
  });

  test('an http request to an https server names the flag', async () => {
    const { client, registry } = await connect();
    registry.behaviour.faults.push({ status: 400, body: 'Client sent an HTTP request to an HTTPS server.\n' });
    await expect(client.ping(registry.host)).rejects.toMatchObject({
      code: 'TLS_FAILED',
      hint: expect.stringContaining('--plain-http') as unknown,
    });
  });

  test('a host that is no registry', async () => {
    const { client, registry } = await connect();
    registry.behaviour.faults.push({ status: 404, body: 'no such page' });
    await expect(client.ping(registry.host)).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('no OCI registry') as unknown,
    });
  });
});
