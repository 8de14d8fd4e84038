import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import type { KitEvent } from '../../../src/events.ts';
import { parseRetryAfter, retryDelay, timerSleep, withRetry } from '../../../src/registry/retry.ts';
import { TransientError } from '../../../src/registry/transient.ts';
import { addEmptyManifest, collect, connect, randomBlob } from '../../support/registry-client.ts';

const sleep = () => Promise.resolve();

describe('delays', () => {
  test('grow exponentially within their jitter and stay below 30 s', () => {
    expect([1, 2, 3, 9].map((number) => retryDelay(number, undefined, () => 0))).toEqual([250, 500, 1000, 15_000]);
    expect([1, 2, 3, 9].map((number) => retryDelay(number, undefined, () => 1))).toEqual([500, 1000, 2000, 30_000]);
  });

  test('follow Retry-After', () => {
    expect(retryDelay(1, 0)).toBe(0);
    expect(retryDelay(1, 7000)).toBe(7000);
    expect(retryDelay(1, 300_000)).toBe(300_000);
  });

  test.each([
    ['5', 5000],
    [' 0 ', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 8000],
    ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
    ['-5', undefined],
    ['soon', undefined],
    [undefined, undefined],
  ])('Retry-After: %s', (value, expected) => {
    expect(parseRetryAfter(value, 2000)).toBe(expected);
  });

  test('a wait ends when the signal aborts', async () => {
    const reason = new Error('stop');
    await expect(timerSleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('withRetry', () => {
  test('gives up after three retries with the last error', async () => {
    let calls = 0;
    const attempt = () => Promise.reject(new TransientError('NETWORK', `failure ${++calls}`));
    await expect(withRetry(attempt, { sleep, id: 'x' })).rejects.toThrowError('failure 4');
  });

  test('does not repeat other errors', async () => {
    let calls = 0;
    const attempt = () => {
      calls += 1;
      return Promise.reject(new Error('final'));
    };
    await expect(withRetry(attempt, { sleep, id: 'x' })).rejects.toThrowError('final');
    expect(calls).toBe(1);
  });

  test('stops when the signal has aborted in between', async () => {
    const controller = new AbortController();
    const attempt = () => {
      controller.abort(new Error('stop'));
      return Promise.reject(new TransientError('NETWORK', 'x'));
    };
    await expect(withRetry(attempt, { sleep, id: 'x', signal: controller.signal })).rejects.toThrowError('stop');
  });
});

describe('requests', () => {
  test.each([429, 502, 503, 504] as const)('%i is retried after the time that the registry asks for', async (status) => {
    const { registry, target, delays } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    registry.behaviour.faults.push({ status, headers: { 'Retry-After': '3' } });
    const events: KitEvent[] = [];
    expect((await target.resolve('v1', { onEvent: (event) => events.push(event) })).digest).toBe(blob.digest);
    expect(delays).toEqual([3000]);
    expect(events).toMatchObject([
      { type: 'retry', id: `${target.name}:v1`, attempt: 2, delayMs: 3000, cause: { code: 'REGISTRY_ERROR' } },
    ]);
  });

  test('a connection that breaks before the answer is retried', async () => {
    const { registry, target, delays } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    registry.behaviour.faults.push({ status: 'reset' }, { status: 'reset' });
    expect((await target.resolve('v1')).digest).toBe(blob.digest);
    expect(delays).toHaveLength(2);
  });

  test('a failure that lasts ends after four attempts, with the registry named', async () => {
    const { registry, target } = await connect();
    registry.behaviour.faults.push(
      ...Array.from({ length: 9 }, () => ({ status: 503 as const, body: '<html><title>Down for\nmaintenance</title></html>' })),
    );
    const pull = target.fetch(randomBlob(10).blob);
    await expect(pull).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('503 Down for maintenance') as unknown,
    });
    await expect(pull).rejects.toThrowError(`GET http://${registry.host}/v2/team/model/blobs/sha256:`);
    expect(registry.requests).toHaveLength(4);
  });

  test.each([
    [301, '6 minutes'],
    [86_400, '24 hours'],
  ])('Retry-After of %i seconds is not waited for: the user is told', async (seconds, text) => {
    const { registry, target, delays } = await connect();
    registry.behaviour.faults.push({ status: 429, headers: { 'Retry-After': String(seconds) } });
    await expect(target.resolve('v1')).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining(': 429') as unknown,
      hint: expect.stringContaining(text) as unknown,
    });
    expect(delays).toEqual([]);
    expect(registry.requests).toHaveLength(1);
  });

  test('500 to a read is retried, to a manifest it is not', async () => {
    const { registry, target, delays } = await connect();
    const { blob, bytes } = await addEmptyManifest(registry, 'v1');
    registry.behaviour.faults.push({ status: 500 });
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
    expect(delays).toHaveLength(1);
    registry.behaviour.faults.push({ match: /^PUT/, status: 500 });
    await expect(target.push(blob, bytesSource(bytes))).rejects.toThrowError(': 500 ');
    expect(delays).toHaveLength(1);
  });

  test.each([400, 403, 404, 409, 501] as const)('%i is not retried', async (status) => {
    const { registry, target, delays } = await connect();
    registry.behaviour.faults.push({ status });
    await expect(target.fetch(randomBlob(10).blob)).rejects.toThrowError(`: ${status} `);
    expect(delays).toEqual([]);
    expect(registry.requests).toHaveLength(1);
  });

  test('a refused connection is final for a host that never answered', async () => {
    const { registry, target, delays } = await connect();
    await registry.close();
    await expect(target.fetch(randomBlob(10).blob)).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringContaining(`${registry.host} cannot be reached (ECONNREFUSED)`) as unknown,
    });
    expect(delays).toEqual([]);
  });

  test('a refused connection is retried for a host that has answered', async () => {
    const { registry, target, delays } = await connect();
    expect(await target.has(randomBlob(10).blob)).toBe(false);
    await registry.close();
    await expect(target.has(randomBlob(10).blob)).rejects.toMatchObject({ code: 'NETWORK' });
    expect(delays).toHaveLength(3);
  });

  test('an upload whose PUT fails begins anew in a session of its own', async () => {
    const { registry, target } = await connect();
    const { bytes, blob } = randomBlob(200_000);
    registry.behaviour.faults.push({ match: /^PUT/, status: 503 });
    let opened = 0;
    const source = bytesSource(bytes);
    await target.push(blob, { ...source, open: (...range) => (opened++, source.open(...range)) });
    expect(opened).toBe(2);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
    expect(registry.storage.uploads.size).toBe(0);
    expect(registry.log().filter((line) => line.startsWith('POST'))).toHaveLength(2);
  });

  test('an upload whose answer was lost is not sent twice', async () => {
    const { registry, target } = await connect();
    const { bytes, blob } = randomBlob(1000);
    registry.behaviour.faults.push({ match: /^PUT/, status: 'reset' });
    await registry.addBlob('team/model', bytes);
    await target.push(blob, bytesSource(bytes));
    expect(registry.log().filter((line) => line.startsWith('POST'))).toHaveLength(1);
  });
});
