import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type BlobSource, bytesSource } from '../../../src/blob-source.ts';
import { KitError } from '../../../src/errors.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { collect, connect, randomBlob } from '../../support/registry-client.ts';
import type { TestRegistry } from '../../support/registry.ts';

const MiB = 1024 * 1024;

const inChunks = (size: number) => (host: string) => ({ chunkSizes: { [host]: size } });

function methods(registry: TestRegistry): string[] {
  return registry.requests.map(({ method, status }) => `${method} ${status}`);
}

describe('a blob in one request', () => {
  test.each([0, 1, 300_000])('of %i bytes: POST, then PUT with its length', async (size) => {
    const { target, registry } = await connect();
    const { blob, bytes } = randomBlob(size);
    await target.push(blob, bytesSource(bytes));
    expect(methods(registry)).toEqual(['POST 202', 'PUT 201']);
    expect(registry.requests[1]?.headers).toMatchObject({ 'content-length': String(size) });
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('by sha512', async () => {
    const { target } = await connect();
    const { bytes } = randomBlob(1000);
    const blob = { mediaType: 'application/octet-stream', digest: digestOf(bytes, 'sha512'), size: 1000 };
    await target.push(blob, bytesSource(bytes));
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test.each(['relative', 'absolute', 'foreign'] as const)('with a Location that is %s', async (location) => {
    const { target, registry } = await connect(
      { behaviour: { location }, auth: { type: 'basic', username: 'u', password: 'p' } },
      (host) => ({ credentials: { [host]: { username: 'u', password: 'p' } } }),
    );
    const { blob, bytes } = randomBlob(1000);
    await target.push(blob, bytesSource(bytes));
    const put = registry.requests.find(({ method }) => method === 'PUT');
    expect(put?.origin).toBe(location === 'foreign' ? 'foreign' : 'registry');
    expect(put?.headers.authorization !== undefined).toBe(location !== 'foreign');
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('whose content is wrong is refused by the registry', async () => {
    const { target, registry } = await connect();
    const { blob } = randomBlob(1000);
    await expect(target.push(blob, bytesSource(randomBlob(1000).bytes))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await target.has(blob)).toBe(false);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test.each([999, 1001])('whose source has %i bytes instead of 1000 is refused here', async (size) => {
    const { target, registry } = await connect();
    const { blob } = randomBlob(1000);
    await expect(target.push(blob, bytesSource(randomBlob(size).bytes))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(await target.has(blob)).toBe(false);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('whose source fails ends with that error, and the session is cancelled', async () => {
    const { target, registry } = await connect();
    const { blob, bytes } = randomBlob(MiB);
    const failure = new KitError('SOURCE_CHANGED', 'model.bin: changed');
    const source: BlobSource = {
      size: blob.size,
      async *open() {
        yield bytes.subarray(0, 1000);
        throw failure;
      },
    };
    await expect(target.push(blob, source)).rejects.toBe(failure);
    expect(registry.log()).toContain('DELETE /v2/team/model/blobs/uploads/ID -> 204');
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('is read no faster than the registry takes it', async () => {
    const { target, registry } = await connect();
    const chunk = Buffer.alloc(MiB, 7);
    const blob = descriptorOf('application/octet-stream', Buffer.alloc(64 * MiB, 7));
    const gate = Promise.withResolvers<void>();
    registry.behaviour.uploadGate = gate.promise;
    let produced = 0;
    const source: BlobSource = {
      size: blob.size,
      async *open() {
        for (let at = 0; at < blob.size; at += MiB) {
          produced += MiB;
          yield chunk;
        }
      },
    };
    const push = target.push(blob, source);
    let quietTurns = 0;
    for (let before = 0; quietTurns < 200; before = produced) {
      await turn();
      quietTurns = produced > 0 && produced === before ? quietTurns + 1 : 0;
    }
    // what was read lies in the buffers of the sockets
    expect(produced).toBeLessThan(32 * MiB);
    gate.resolve();
    await push;
    expect(await target.has(blob)).toBe(true);
  });
});

describe('an aborted upload', () => {
  test('rejects with the reason and cancels its session', async () => {
    const { target, registry } = await connect();
    const { blob, bytes } = randomBlob(4 * MiB);
    const controller = new AbortController();
    const reason = new Error('stop');
    const source: BlobSource = {
      size: blob.size,
      async *open() {
        yield bytes.subarray(0, MiB);
        controller.abort(reason);
        yield bytes.subarray(MiB);
      },
    };
    await expect(target.push(blob, source, { signal: controller.signal })).rejects.toBe(reason);
    expect(registry.log()).toContain('DELETE /v2/team/model/blobs/uploads/ID -> 204');
    expect(registry.storage.uploads.size).toBe(0);
  });
});

describe('a blob in chunks', () => {
  test('is sent in order, with inclusive ranges, and closed by an empty PUT', async () => {
    const { target, registry } = await connect({}, inChunks(100_000));
    const { blob, bytes } = randomBlob(250_000);
    await target.push(blob, bytesSource(bytes));
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 202', 'PATCH 202', 'PUT 201']);
    expect(registry.requests.map(({ headers }) => headers['content-range'])).toEqual([
      undefined,
      '0-99999',
      '100000-199999',
      '200000-249999',
      undefined,
    ]);
    expect(registry.requests.at(-1)?.headers['content-length']).toBe('0');
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test.each([0, 1])('of %i bytes', async (size) => {
    const { target } = await connect({}, inChunks(100_000));
    const { blob, bytes } = randomBlob(size);
    await target.push(blob, bytesSource(bytes));
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('respects OCI-Chunk-Min-Length', async () => {
    const { target, registry } = await connect({ behaviour: { chunkMinimum: 120_000 } }, inChunks(1000));
    const { blob, bytes } = randomBlob(250_000);
    await target.push(blob, bytesSource(bytes));
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 202', 'PATCH 202', 'PUT 201']);
  });

  test('goes on from where the registry says it is', async () => {
    const { target, registry } = await connect({ behaviour: { shortenChunks: [30_000] } }, inChunks(100_000));
    const { blob, bytes } = randomBlob(250_000);
    await target.push(blob, bytesSource(bytes));
    expect(registry.requests.map(({ headers }) => headers['content-range']).slice(1, 4)).toEqual([
      '0-99999',
      '30000-129999',
      '130000-229999',
    ]);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('asks how much has arrived after a broken chunk', async () => {
    const { target, registry } = await connect({}, inChunks(100_000));
    const { blob, bytes } = randomBlob(250_000);
    registry.behaviour.faults.push({ match: /^PATCH.*state=2/, status: 'reset' });
    await target.push(blob, bytesSource(bytes));
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 0', 'GET 204', 'PATCH 202', 'PATCH 202', 'PUT 201']);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('asks how much has arrived after 416', async () => {
    const { target, registry } = await connect({}, inChunks(100_000));
    const { blob, bytes } = randomBlob(250_000);
    registry.behaviour.faults.push({ match: /^PATCH.*state=2/, status: 416 });
    await target.push(blob, bytesSource(bytes));
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 416', 'GET 204', 'PATCH 202', 'PATCH 202', 'PUT 201']);
  });

  test('that does not advance is given up', async () => {
    const { target, registry } = await connect({ behaviour: { shortenChunks: Array.from({ length: 20 }, () => 0) } }, inChunks(100_000));
    const { blob, bytes } = randomBlob(250_000);
    registry.behaviour.chunkMinimum = 0;
    await expect(target.push(blob, bytesSource(bytes))).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
    expect(registry.storage.uploads.size).toBe(0);
  });

  test.each(['0-999999999', '5-10', 'all'])('whose acknowledgement is `%s` is given up', async (range) => {
    const { target, registry } = await connect({}, inChunks(100_000));
    const { blob, bytes } = randomBlob(250_000);
    registry.behaviour.faults.push({ match: /^PATCH/, status: 202, headers: { Range: range } });
    await expect(target.push(blob, bytesSource(bytes))).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  });

  test('is the answer to 413, with chunks that shrink while they are refused', async () => {
    const { target, registry } = await connect({ behaviour: { maxPut: MiB } });
    const { blob, bytes } = randomBlob(20 * MiB);
    registry.behaviour.faults.push({ match: /^PATCH/, status: 413 });
    await target.push(blob, bytesSource(bytes));
    const ranges = registry.requests.map(({ headers }) => headers['content-range']).filter((range) => range !== undefined);
    expect(ranges).toEqual(['0-16777215', '0-8388607', '8388608-16777215', '16777216-20971519']);
    expect(registry.requests.filter(({ status }) => status === 413)).toHaveLength(2);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('says so when even small chunks are refused', async () => {
    const { target, registry } = await connect({ behaviour: { maxPut: MiB } });
    const { blob, bytes } = randomBlob(2 * MiB);
    registry.behaviour.faults.push(...Array.from({ length: 10 }, () => ({ match: /^PATCH/, status: 413 as const })));
    await expect(target.push(blob, bytesSource(bytes))).rejects.toThrowError(
      /too large for the registry, or for a proxy before it \(PATCH .*: 413 /,
    );
  });
});

describe('mounting', () => {
  test('takes a blob over from another repository', async () => {
    const { target, registry } = await connect();
    const { blob, bytes } = randomBlob(1000);
    await registry.addBlob('team/base', bytes);
    expect(await target.can.mount?.(blob, 'team/base')).toBe(true);
    expect(await target.has(blob)).toBe(true);
  });

  test('that the registry answers with an upload session cancels it', async () => {
    const { target, registry } = await connect({ behaviour: { mounts: false } });
    const { blob, bytes } = randomBlob(1000);
    await registry.addBlob('team/base', bytes);
    expect(await target.can.mount?.(blob, 'team/base')).toBe(false);
    expect(registry.log()).toEqual(['POST /v2/team/model/blobs/uploads/ -> 202', 'DELETE /v2/team/model/blobs/uploads/ID -> 204']);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('asks for a token of both repositories', async () => {
    const { target, registry } = await connect({ auth: { type: 'bearer', username: 'u', password: 'p' } }, (host) => ({
      credentials: { [host]: { username: 'u', password: 'p' } },
    }));
    const { blob, bytes } = randomBlob(1000);
    await registry.addBlob('team/base', bytes);
    expect(await target.can.mount?.(blob, 'team/base')).toBe(true);
    const token = registry.requests.find(({ path }) => path.startsWith('/token'));
    expect(new URL(token?.path ?? '', registry.url).searchParams.getAll('scope')).toEqual([
      'repository:team/base:pull',
      'repository:team/model:pull,push',
    ]);
  });
});
