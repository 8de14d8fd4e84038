import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const MIB = 1024 * 1024;

/** True where this process may mount a file system of its own. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0 && tryMount();

function tryMount(): boolean {
  const folder = join('/tmp', `kit-mount-${process.pid}`);
  mkdirSync(folder);
  const works = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).status === 0;
  if (works) spawnSync('umount', [folder]);
  rmSync(folder, { recursive: true });
  return works;
}

/** A sandbox with a disk of 8 MiB at `disk`, and a model of 12 MiB and a small one beside it. */
async function withSmallDisk(): Promise<Sandbox> {
  const box = await sandbox();
  mkdirSync(box.path('disk'));
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', box.path('disk')]);
  // before the sandbox is removed: hooks run in reverse order
  onTestFinished(() => void spawnSync('umount', ['-l', box.path('disk')]));
  const kitfile = 'manifestVersion: 1.0.0\nmodel: {path: m}\n';
  await box.write({ 'big/Kitfile': kitfile, 'big/m': randomBytes(12 * MIB), 'small/Kitfile': kitfile, 'small/m': 'small\n' });
  return box;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => statSync(join(folder, path)).isFile());
}

test.skipIf(!canMount)('pack onto a full disk: said clearly, nothing under a final name, the next one works', async () => {
  const box = await withSmallDisk();
  const disk = { env: { KIT_HOME: box.path('disk/home') } };
  const run = await box.kit('pack big -t mine:v1', disk);
  expect({ ...run, stderr: run.stderr.replaceAll(/ingest\/[\w.-]+/g, 'ingest/NAME') }).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/disk/home/storage/ingest/NAME: no space left on the device

    hint: free some space, for example with \`kit remove --all\`, then run the command again
  `);
  expect(await box.ok('list --format json', disk)).toBe('[]\n');
  await box.ok('pack small -t mine:v2', disk);
  await box.ok('unpack mine:v2 -d out', disk);
});

test.skipIf(!canMount)('pull onto a full disk', async () => {
  const box = await withSmallDisk();
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  const disk = { env: { KIT_HOME: box.path('disk/home') } };
  await box.ok(`pack big -t ${registry.host}/mine:big --push`);
  await box.ok(`pack small -t ${registry.host}/mine:small --push`);
  const run = await box.kit(`pull ${registry.host}/mine:big`, disk);
  expect({ ...run, stderr: run.stderr.replaceAll(/ingest\/[\w.-]+/g, 'ingest/NAME') }).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/disk/home/storage/ingest/NAME: no space left on the device (destination)

    hint: free some space, for example with \`kit remove --all\`, then run the command again
  `);
  expect(await box.ok('list --format json', disk)).toBe('[]\n');
  // the broken download is kept for the next pull, until it is asked to go
  await box.ok('remove --all', disk);
  await box.ok(`pull ${registry.host}/mine:small`, disk);
  await box.ok('pack small -t other:v1', disk);
});

test.skipIf(!canMount)('unpack onto a full disk: nothing is left', async () => {
  const box = await withSmallDisk();
  await box.ok('pack big -t mine:v1');
  const run = await box.kit('unpack mine:v1 -d disk/out');
  expect({ ...run, stderr: run.stderr.replaceAll(/\.kit\S+/g, 'STAGING') }).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/disk/out/m: no space left on the device

    hint: free some space, for example with \`kit remove --all\`, then run the command again
  `);
  expect(filesBelow(box.path('disk'))).toEqual([]);
});

test.skipIf(!canMount)('an archive onto a full disk: the one that was there stays', async () => {
  const box = await withSmallDisk();
  await box.ok('pack small -t oci-archive:disk/model.tar:v1');
  const run = await box.kit('pack big -t oci-archive:disk/model.tar:v2');
  expect(run.status).toBe(1);
  expect(run.stderr).toContain('no space');
  expect(filesBelow(box.path('disk'))).toEqual(['model.tar']);
  await box.ok('unpack oci-archive:disk/model.tar:v1 -d out');
});

test.skipIf(!canMount)('a disk that is full to the last byte can still be cleaned', async () => {
  const box = await withSmallDisk();
  const disk = { env: { KIT_HOME: box.path('disk/home') } };
  await box.ok('pack small -t mine:v1', disk);
  const filler = spawnSync('dd', ['if=/dev/zero', `of=${box.path('disk/filler')}`, 'bs=4k']);
  expect(filler.stderr.toString()).toContain('No space left');
  expect(await box.ok('list --format {{.Repo}}', disk)).toBe('mine\n');
  await box.ok('remove mine:v1', disk);
  expect(await box.ok('list --format json', disk)).toBe('[]\n');
  rmSync(box.path('disk/filler'));
  await box.ok('pack small -t mine:v2', disk);
});
