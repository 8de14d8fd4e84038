import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { generateKeyPair, openKeySigner } from '../../../src/index.ts';
import { readPublicKey } from '../../../src/signing/public-key.ts';

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ocikit-pair-'));
  onTestFinished(async () => {
    await rm(directory, { recursive: true });
  });
  return directory;
}

const password = async () => await Promise.resolve('secret');

test('a pair that belongs together, the private key for its owner alone', async () => {
  const prefix = join(await scratch(), 'release');
  const umask = process.umask(0o027);
  onTestFinished(() => void process.umask(umask));
  const made = await generateKeyPair({ prefix, password });
  expect(made).toMatchObject({ privateKey: `${prefix}.key`, publicKey: `${prefix}.pub` });
  expect(((await stat(made.privateKey)).mode & 0o777).toString(8)).toBe('600');
  expect(((await stat(made.publicKey)).mode & 0o777).toString(8)).toBe('644');
  expect(await readFile(made.privateKey, 'utf8')).toMatch(/^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n/);
  const key = await readPublicKey(made.publicKey);
  const { signature } = await (await openKeySigner(made.privateKey, { password })).sign(Buffer.from('x'));
  expect(key.verifies(Buffer.from('x'), signature)).toBe(true);
  expect(key.keyId).toBe(made.keyId);
});

test.each(['release.key', 'release.pub'])('nothing is overwritten: %s', async (name) => {
  const directory = await scratch();
  await writeFile(join(directory, name), 'precious');
  const asked: string[] = [];
  const ask = async () => {
    asked.push(name);
    return await Promise.resolve('');
  };
  await expect(generateKeyPair({ prefix: join(directory, 'release'), password: ask })).rejects.toMatchObject({
    code: 'PATH_EXISTS',
    message: expect.stringContaining(name) as string,
  });
  expect(asked).toEqual([]);
  expect(await readdir(directory)).toEqual([name]);
  expect(await readFile(join(directory, name), 'utf8')).toBe('precious');
});

test('a dangling link is not followed', async () => {
  const directory = await scratch();
  await symlink(join(directory, 'elsewhere'), join(directory, 'release.key'));
  await expect(generateKeyPair({ prefix: join(directory, 'release'), password })).rejects.toMatchObject({ code: 'PATH_EXISTS' });
  expect(await readdir(directory)).toEqual(['release.key']);
});

test('a name that is taken while the password is asked for leaves no half of a pair', async () => {
  const directory = await scratch();
  const slow = async () => {
    await mkdir(join(directory, 'release.pub'));
    return 'secret';
  };
  await expect(generateKeyPair({ prefix: join(directory, 'release'), password: slow })).rejects.toMatchObject({ code: 'PATH_EXISTS' });
  expect(await readdir(directory)).toEqual(['release.pub']);
});

test('a folder that is not there', async () => {
  const prefix = join(await scratch(), 'missing', 'release');
  await expect(generateKeyPair({ prefix, password })).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
});
