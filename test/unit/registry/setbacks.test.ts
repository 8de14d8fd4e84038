import { describe, expect, test } from 'vitest';
import { Setbacks } from '../../../src/registry/setbacks.ts';
import { TransientError } from '../../../src/registry/transient.ts';

const MiB = 1024 * 1024;
const failure = new TransientError('NETWORK', 'broken');

function counting(start?: number) {
  const delays: number[] = [];
  const sleep = (ms: number) => {
    delays.push(ms);
    return Promise.resolve();
  };
  return { delays, setbacks: new Setbacks({ sleep, id: 'x' }, start) };
}

describe('a transfer', () => {
  test('that gets further each time never ends by its failures', async () => {
    const { setbacks, delays } = counting();
    for (let count = 1; count <= 1000; count++) await setbacks.endure(failure, count * MiB);
    expect(delays).toHaveLength(1000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(500);
  });

  test('that gets a little further adds it up', async () => {
    const { setbacks, delays } = counting();
    for (let count = 1; count <= 100; count++) await setbacks.endure(failure, (count * MiB) / 4);
    expect(delays).toHaveLength(100);
  });

  test('that never gets further ends, after a minute or two', async () => {
    const { setbacks, delays } = counting(5 * MiB);
    const enduring = async () => {
      for (;;) await setbacks.endure(failure, 5 * MiB + 1000);
    };
    await expect(enduring()).rejects.toBe(failure);
    expect(delays).toHaveLength(8);
    const total = delays.reduce((sum, ms) => sum + ms, 0);
    expect(total).toBeGreaterThan(45_000);
    expect(total).toBeLessThan(120_000);
  });

  test('that starts over has to get beyond where it was', async () => {
    const { setbacks } = counting();
    const enduring = async () => {
      for (;;) {
        await setbacks.endure(failure, 100 * MiB);
        await setbacks.endure(failure, 50 * MiB);
      }
    };
    await expect(enduring()).rejects.toBe(failure);
  });

  test('ends at once by what does not pass, and with the reason when it is aborted', async () => {
    const error = new Error('final');
    await expect(counting().setbacks.endure(error, MiB)).rejects.toBe(error);
    const reason = new Error('stop');
    const setbacks = new Setbacks({ sleep: () => Promise.resolve(), id: 'x', signal: AbortSignal.abort(reason) });
    await expect(setbacks.endure(failure, MiB)).rejects.toBe(reason);
  });
});
