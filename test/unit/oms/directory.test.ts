import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { hashDirectory } from '../../../src/operations/sign/oms-directory.ts';
import { withAlwaysIgnored } from '../../../src/signing/oms-statement.ts';

async function folder(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'ocikit-oms-'));
  onTestFinished(() => rm(root, { recursive: true }));
  await mkdir(join(root, 'm/a/.git'), { recursive: true });
  await mkdir(join(root, 'm/.git'));
  for (const name of ['m/x', 'm/a/y', 'm/a/.git/z', 'm/.git/config', 'm/.gitattributes', 'outside'])
    await writeFile(join(root, name), name);
  return root;
}

const OPTIONS = { ignored: withAlwaysIgnored([]), allowSymlinks: false };
const LINKS = { ...OPTIONS, allowSymlinks: true };

async function hash(root: string, options = OPTIONS): Promise<Record<string, string>> {
  return Object.fromEntries(await hashDirectory(join(root, 'm'), options, 2, {}));
}

function sha(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

test('regular files, but for those of git at the top', async () => {
  expect(await hash(await folder())).toEqual({ x: sha('m/x'), 'a/y': sha('m/a/y'), 'a/.git/z': sha('m/a/.git/z') });
});

test('links are refused, unless the model was signed with them', async () => {
  const root = await folder();
  await symlink('x', join(root, 'm/link'));
  await expect(hash(root)).rejects.toMatchObject({ code: 'PATH_UNSUPPORTED', message: expect.stringContaining('m/link') as string });
  const files = await hash(root, LINKS);
  expect(files['link']).toBe(files['x']);
});

test.each([
  ['out of the directory', '../outside', 'a symbolic link out of the directory'],
  ['to a folder', 'a', 'a symbolic link to something that is no file'],
  ['to nothing', 'nowhere', 'does not exist'],
  ['to itself', 'link', 'loop'],
])('a link %s is refused even then', async (_, to, message) => {
  const root = await folder();
  await symlink(to, join(root, 'm/link'));
  await expect(hash(root, LINKS)).rejects.toThrow(message);
});

test('what is ignored may be anything', async () => {
  const root = await folder();
  await symlink('nowhere', join(root, 'm/.github'));
  expect(Object.keys(await hash(root))).toHaveLength(3);
});

test.skipIf(process.platform !== 'linux')('a name that is no UTF-8', async () => {
  const root = await folder();
  await writeFile(Buffer.concat([Buffer.from(`${root}/m/`), Buffer.from([0xff])]), '');
  await expect(hash(root)).rejects.toThrow('its name is not UTF-8');
});

test('no directory', async () => {
  await expect(hash(join(tmpdir(), 'ocikit-no-such-folder'))).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
});
