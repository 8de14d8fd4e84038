import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { leftoversOf, removeLeftover } from '../../../src/targets/leftovers.ts';
import { tryLock } from '../../../src/targets/lock.ts';
import { ownIdentity } from '../../../src/targets/process-identity.ts';
import { temporaryName } from '../../../src/targets/temporary-name.ts';

const HEX = 'a'.repeat(64);
const PARTIAL = `sha256-${HEX}.partial`;
const MINE = `private-${temporaryName()}.partial`;
// beyond the largest pid of Linux
const DEAD = MINE.replace(String(process.pid), '4194999');
let storage: string;

beforeEach(async () => {
  storage = await mkdtemp(join(tmpdir(), 'ocikit-leftovers-'));
  for (const name of ['ingest', 'leases']) await mkdir(join(storage, name));
});
afterEach(() => rm(storage, { recursive: true }));

async function put(name: string, ageMs = 0, content = 'x'): Promise<void> {
  await writeFile(join(storage, name), content);
  const then = new Date(Date.now() - ageMs);
  await utimes(join(storage, name), then, then);
}

async function kinds(): Promise<Record<string, string>> {
  return Object.fromEntries((await leftoversOf(storage)).map(({ path, kind }) => [basename(path), kind]));
}

const DAY = 24 * 3_600_000;
const LOCK = (identity: object): string => JSON.stringify({ ...identity, nonce: 'aaaaaaaaaaaaaaaa' });

test('what the living write, what can be resumed, and what others left', async () => {
  for (const name of [PARTIAL, MINE, DEAD, 'sha256-x.damaged', 'sha256-y.garbage', 'unknown']) await put(join('ingest', name));
  await put(join('ingest', `${HEX}_123`), 2 * DAY);
  await put('oci-put-blob77', 2 * DAY);
  await put('oci-put-blob78');
  expect(await kinds()).toEqual({
    [PARTIAL]: 'partial',
    [DEAD]: 'temporary',
    'sha256-x.damaged': 'damaged',
    'sha256-y.garbage': 'garbage',
    [`${HEX}_123`]: 'temporary',
    'oci-put-blob77': 'temporary',
  });
});

test('a download that another process goes on with is none, and is not removed when it begins just then', async () => {
  await put(join('ingest', PARTIAL));
  const [leftover] = await leftoversOf(storage);
  const claim = await tryLock(join(storage, 'ingest', `${PARTIAL}.lock`));
  expect(await kinds()).toEqual({});
  expect(leftover && (await removeLeftover(leftover))).toBe(false);
  await claim?.release();
  expect(leftover && (await removeLeftover(leftover))).toBe(true);
  expect(await readdir(join(storage, 'ingest'))).toEqual([]);
});

test('locks and leases of dead processes', async () => {
  const dead = { ...ownIdentity(), started: '1' };
  const elsewhere = { ...ownIdentity(), host: `not-${hostname()}` };
  await put('index.lock', 0, LOCK(dead));
  await put(join('ingest', `${PARTIAL}.lock`), 0, LOCK(dead));
  await put(join('leases', '1-dead'), 0, LOCK(dead));
  await put(join('leases', '2-mine'), 0, LOCK(ownIdentity()));
  await put(join('leases', '3-elsewhere'), 0, LOCK(elsewhere));
  await put(join('leases', '4-elsewhere-long-ago'), 70_000, LOCK(elsewhere));
  expect(await kinds()).toEqual({ 'index.lock': 'lock', [`${PARTIAL}.lock`]: 'lock', '1-dead': 'lock', '4-elsewhere-long-ago': 'lock' });
  for (const leftover of await leftoversOf(storage)) expect(await removeLeftover(leftover)).toBe(true);
  expect((await readdir(join(storage, 'leases'))).toSorted()).toEqual(['2-mine', '3-elsewhere']);
  expect(await readdir(join(storage, 'ingest'))).toEqual([]);
});
