import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RunningKit, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

const SIZE = 48 * 1024 * 1024;
const WEIGHTS = randomBytes(SIZE);

let registry: TestRegistry;
beforeEach(async () => {
  registry = await startRegistry();
});
afterEach(() => registry.close());

async function withModel(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: model.bin}\n', 'in/model.bin': WEIGHTS });
  return box;
}

/** Ctrl-C after the first bytes of the layer went by: the config is smaller. */
async function interrupted(kit: RunningKit): Promise<void> {
  await kit.event(({ type, delta }) => type === 'bytes' && Number(delta) > 1000);
  kit.child.kill('SIGINT');
  const { status, stdout, stderr } = await kit.finished;
  expect({ status, stdout }).toEqual({ status: 130, stdout: '' });
  expect(stderr.split('\n').at(-2)).toBe('error: interrupted');
}

/** The names of all blobs that the storage has: all of them whole. */
async function blobs(box: Sandbox): Promise<string[]> {
  return await readdir(box.path('home/storage/blobs/sha256')).catch(() => []);
}

test('pack: nothing of it is kept, and the next one works', async () => {
  const box = await withModel();
  await interrupted(box.start('pack in -t mine:v1 --compression gzip --progress json'));
  expect(await blobs(box)).toEqual([]);
  expect(await box.ok('list --format json')).toBe('[]\n');
  await box.ok('pack in -t mine:v1');
  expect(await blobs(box)).toHaveLength(3);
});

test('push: no tag, and the next one works', async () => {
  const box = await withModel();
  await box.ok('pack in -t mine:v1');
  // the upload stays unread until the end of the test
  const gate = Promise.withResolvers<void>();
  registry.behaviour.uploadGate = gate.promise;
  const push = `push mine:v1 ${registry.host}/mine:v1`;
  await interrupted(box.start(`${push} --progress json`));
  expect(registry.storage.find('mine')?.tags.size ?? 0).toBe(0);
  gate.resolve();
  registry.behaviour.uploadGate = undefined;
  await box.ok('list');
  await box.ok(push);
});

test.each(['SIGINT', 'SIGKILL'] as const)('push in chunks: the next one goes on where this one was', async (signal) => {
  const box = await withModel();
  await box.ok('pack in -t mine:v1');
  await box.write({ 'home/config.toml': `[registry."${registry.host}"]\nchunk-size = "8MiB"\n` });
  // it ends within the third chunk
  const gate = Promise.withResolvers<void>();
  const third = Promise.withResolvers<void>();
  registry.behaviour.onRequest = () => {
    if (registry.requests.filter(({ method }) => method === 'PATCH').length < 3) return;
    registry.behaviour.uploadGate = gate.promise;
    third.resolve();
  };
  const push = `push mine:v1 ${registry.host}/mine:v1`;
  const kit = box.start(`${push} --progress json`);
  await third.promise;
  kit.child.kill(signal);
  const { status } = await kit.finished;
  expect(status).toBe(signal === 'SIGINT' ? 130 : null);
  registry.behaviour.onRequest = undefined;
  registry.behaviour.uploadGate = undefined;
  gate.resolve();
  registry.clear();
  await box.ok(push);
  const starts = registry.requests.flatMap(({ headers }) => /^(\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? []);
  expect(Number(starts[0])).toBeGreaterThanOrEqual(2 * 8 * 1024 * 1024);
  expect(await readdir(box.path('home/uploads'))).toEqual([]);
  await box.ok(`pull ${registry.host}/mine:v1`);
});

test('pull: the next one goes on where this one was', async () => {
  const box = await withModel();
  const name = `${registry.host}/mine:v1`;
  await box.ok(`pack in -t ${name} --push`);
  await interrupted(box.start(`pull ${name} --progress json`));
  const [digest = ''] = (await readdir(box.path('home/storage/ingest'))).filter((file) => /[0-9a-f]{64}/.test(file));
  expect(await box.ok('list --format json')).toBe('[]\n');
  registry.clear();
  await box.ok(`pull ${name}`);
  const ranges = registry.requests.map(({ headers }) => headers.range).filter((range) => range !== undefined);
  expect(digest).not.toBe('');
  // further connections may help on a slow machine; nothing of what is there is asked for again
  const starts = ranges.map((range) => Number(/^bytes=(\d+)-/.exec(range)?.[1]));
  expect(starts[0]).toBeGreaterThan(0);
  expect(Math.min(...starts)).toBe(starts[0]);
  await box.ok(`unpack ${name} -d out`);
});

test('unpack: the directory is as it was', async () => {
  const box = await withModel();
  const name = `${registry.host}/mine:v1`;
  await box.ok(`pack in -t ${name} --push`);
  await box.write({ 'out/other.txt': 'other' });
  // the registry is this process, so the download cannot end before the signal is sent
  await interrupted(box.start(`unpack ${name} -d out --progress json`));
  expect(await box.tree('out')).toEqual(['other.txt']);
  await interrupted(box.start(`unpack ${name} -d new --progress json`));
  expect(await readdir(box.root)).not.toContain('new');
  await box.ok(`unpack ${name} -d out`);
});
