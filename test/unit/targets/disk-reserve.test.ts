import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KitError } from '../../../src/errors.ts';
import { DiskReserve } from '../../../src/targets/disk-reserve.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reserve-'));
  path = join(folder, 'reserve');
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const full = (): never => {
  throw new KitError('DISK_FULL', 'no space');
};

test('work that finds the disk full is done on the room that the reserve gives up', async () => {
  const reserve = new DiskReserve(path);
  await reserve.keep();
  expect(await reserve.spend(async () => (existsSync(path) ? full() : 'done'))).toBe('done');
  expect(existsSync(path)).toBe(false);
});

test('without a reserve, and for other errors, the first failure stands', async () => {
  const reserve = new DiskReserve(path);
  let calls = 0;
  const work = async (): Promise<never> => {
    calls += 1;
    return full();
  };
  await expect(reserve.spend(work)).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect(calls).toBe(1);
  await reserve.keep();
  await expect(
    reserve.spend(async () => {
      throw new KitError('IO_FAILED', 'broken');
    }),
  ).rejects.toMatchObject({ code: 'IO_FAILED' });
  expect(existsSync(path)).toBe(true);
});
