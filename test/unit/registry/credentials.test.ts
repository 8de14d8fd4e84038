import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askCredentialHelper } from '../../../src/registry/credential-helper.ts';
import { deleteCredential, findCredential, saveCredential } from '../../../src/registry/credentials.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const named = (username: string) => ({ auths: { 'ghcr.io': { auth: base64(`${username}:secret`) } } });

let directory: string;
let home: string;
let env: Record<string, string>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'credentials-'));
  home = join(directory, 'kit');
  env = { HOME: join(directory, 'user'), PATH: join(directory, 'bin') + delimiter + (process.env['PATH'] ?? '') };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function write(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), typeof value === 'string' ? value : JSON.stringify(value));
}

async function writeHelper(name: string, script: string): Promise<void> {
  await write(`bin/docker-credential-${name}`, `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, 'bin', `docker-credential-${name}`), 0o755);
}

describe('where credentials are looked for', () => {
  test('given ones, kit, Docker, podman: the first that knows the registry wins', async () => {
    env['REGISTRY_AUTH_FILE'] = join(directory, 'auth.json');
    env['XDG_RUNTIME_DIR'] = join(directory, 'run');
    await write('run/containers/auth.json', named('podman-run'));
    expect(await findCredential('ghcr.io', { env, home })).toEqual({ username: 'podman-run', password: 'secret' });
    await write('auth.json', named('podman-file'));
    expect(await findCredential('ghcr.io', { env, home })).toMatchObject({ username: 'podman-file' });
    await write('user/.docker/config.json', named('docker'));
    expect(await findCredential('ghcr.io', { env, home })).toMatchObject({ username: 'docker' });
    await write('elsewhere/config.json', named('docker-config'));
    env['DOCKER_CONFIG'] = join(directory, 'elsewhere');
    expect(await findCredential('ghcr.io', { env, home })).toMatchObject({ username: 'docker-config' });
    await write('kit/credentials.json', named('kit'));
    expect(await findCredential('ghcr.io', { env, home })).toMatchObject({ username: 'kit' });
    const credentials = { 'ghcr.io': { username: 'given', password: 'p' } };
    expect(await findCredential('ghcr.io', { env, home, credentials })).toMatchObject({ username: 'given' });
    expect(await findCredential('other.io', { env, home, credentials })).toBeUndefined();
  });

  test.each([
    ['ghcr.io', 'ghcr.io', true],
    ['https://ghcr.io', 'ghcr.io', true],
    ['https://ghcr.io/v2/', 'ghcr.io', true],
    ['ghcr.io:443', 'ghcr.io', false],
    ['localhost:5000', 'localhost:5000', true],
    ['ghcr.io.evil.com', 'ghcr.io', false],
    ['https://index.docker.io/v1/', 'docker.io', true],
    ['docker.io', 'docker.io', true],
    ['https://index.docker.io/v1/', 'registry-1.docker.io', true],
    ['https://index.docker.io/v1/', 'ghcr.io', false],
    ['__proto__', 'constructor', false],
  ])('an entry `%s` for `%s`: %s', async (key, registry, isFound) => {
    await write('kit/credentials.json', `{"auths":{${JSON.stringify(key)}:{"auth":"${base64('u:p')}"}}}`);
    expect(await findCredential(registry, { env, home })).toEqual(isFound ? { username: 'u', password: 'p' } : undefined);
  });

  test.each([
    [{ auth: base64('u:p:q') }, { username: 'u', password: 'p:q' }],
    [{ auth: base64('<token>:t') }, { identityToken: 't' }],
    [{ auth: base64('u:p'), identitytoken: 't' }, { identityToken: 't' }],
    [{ registrytoken: 't' }, { registryToken: 't' }],
    [
      { username: 'u', password: 'p' },
      { username: 'u', password: 'p' },
    ],
    [{}, undefined],
    [null, undefined],
  ])('an entry %o', async (entry, expected) => {
    await write('kit/credentials.json', { auths: { 'ghcr.io': entry } });
    expect(await findCredential('ghcr.io', { env, home })).toEqual(expected);
  });

  test.each(['{', '[]', '{"auths":[]}', '{"auths":{"ghcr.io":{"auth":7}}}', `{"auths":{"ghcr.io":{"auth":"${base64('no colon')}"}}}`])(
    'the file %s is reported with its path and without its content',
    async (content) => {
      await write('kit/credentials.json', content);
      const failure: unknown = await findCredential('ghcr.io', { env, home }).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: 'CREDENTIALS_FAILED',
        message: expect.stringContaining(join(home, 'credentials.json')) as unknown,
      });
      expect(String(failure)).not.toContain('no colon');
    },
  );

  test('an empty file is an empty configuration', async () => {
    await write('kit/credentials.json', '');
    expect(await findCredential('ghcr.io', { env, home })).toBeUndefined();
  });
});

describe.skipIf(process.platform === 'win32')('credential helpers', () => {
  const ANSWER = `echo '{"ServerURL":"x","Username":"u","Secret":"s"}'`;

  test('are asked with the server on their input, the special one before the general one', async () => {
    await writeHelper('special', `read server; echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"special $1\\"}"`);
    await writeHelper('general', `read server; echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"general $1\\"}"`);
    await write('user/.docker/config.json', { credsStore: 'general', credHelpers: { 'ghcr.io': 'special' }, auths: { 'ghcr.io': {} } });
    expect(await findCredential('ghcr.io', { env })).toEqual({ username: 'ghcr.io', password: 'special get' });
    expect(await findCredential('docker.io', { env })).toEqual({ username: 'https://index.docker.io/v1/', password: 'general get' });
  });

  test('may hold identity tokens', async () => {
    await writeHelper('x', `echo '{"Username":"<token>","Secret":"t"}'`);
    expect(await askCredentialHelper('x', 'ghcr.io', { env })).toEqual({ identityToken: 't' });
  });

  test('that know nothing leave it to the next place', async () => {
    await writeHelper('x', `echo 'credentials not found in native keychain'; exit 1`);
    await write('user/.docker/config.json', { credsStore: 'x', auths: { 'ghcr.io': { auth: base64('u:p') } } });
    expect(await findCredential('ghcr.io', { env })).toEqual({ username: 'u', password: 'p' });
    expect(await findCredential('quay.io', { env })).toBeUndefined();
  });

  test.each([
    ['fails', 'echo "keychain is locked" >&2; exit 1', 'keychain is locked'],
    ['babbles', 'echo hello', 'not JSON'],
    ['forgets', `echo '{"Username":"u"}'`, 'lacks Username or Secret'],
    ['answers null', 'echo null', 'lacks Username or Secret'],
  ])('one that %s is named', async (_what, script, why) => {
    await writeHelper('x', script);
    await expect(askCredentialHelper('x', 'ghcr.io', { env })).rejects.toMatchObject({
      code: 'CREDENTIALS_FAILED',
      message: expect.stringMatching(new RegExp(`docker-credential-x: .*${why}`)) as unknown,
      hint: expect.stringContaining('docker-credential-x') as unknown,
    });
  });

  test('one that is not installed is named', async () => {
    await expect(askCredentialHelper('none', 'ghcr.io', { env })).rejects.toThrowError(
      'docker-credential-none: no credentials for ghcr.io: it is not installed',
    );
  });

  test.each(['../evil', 'a b', 'x;y', '', '$(x)'])('`%s` is no helper', async (name) => {
    await expect(askCredentialHelper(name, 'ghcr.io', { env })).rejects.toMatchObject({ code: 'CREDENTIALS_FAILED' });
  });

  test('one that hangs is ended', async () => {
    await writeHelper('x', 'exec sleep 60');
    await expect(askCredentialHelper('x', 'ghcr.io', { env, timeoutMs: 50 })).rejects.toThrowError('no answer within');
  });

  test('one that floods its output is not kept in memory', async () => {
    await writeHelper('x', 'head -c 3000000 /dev/zero');
    await expect(askCredentialHelper('x', 'ghcr.io', { env })).rejects.toThrowError('not JSON');
  });

  test('one is left alone when the call is aborted', async () => {
    await writeHelper('x', ANSWER);
    const reason = new Error('stop');
    await expect(askCredentialHelper('x', 'ghcr.io', { env, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('keeping credentials', () => {
  test('writes what KitOps and Docker read, for the user only', async () => {
    await saveCredential(home, 'ghcr.io', { username: 'u', password: 'p' });
    await saveCredential(home, 'docker.io', { identityToken: 't' });
    const path = join(home, 'credentials.json');
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      auths: { 'ghcr.io': { auth: base64('u:p') }, 'https://index.docker.io/v1/': { identitytoken: 't' } },
    });
    expect(await readdir(home)).toEqual(['credentials.json']);
  });

  test.skipIf(process.platform === 'win32')('closes an open file to others', async () => {
    await write('kit/credentials.json', {});
    await chmod(join(home, 'credentials.json'), 0o644);
    await saveCredential(home, 'ghcr.io', { username: 'u', password: 'p' });
    expect((await stat(join(home, 'credentials.json'))).mode & 0o777).toBe(0o600);
  });

  test('keeps what else is in the file, and replaces every spelling of the registry', async () => {
    await write('kit/credentials.json', {
      HttpHeaders: { a: 'b' },
      auths: { 'quay.io': { auth: base64('q:q'), email: 'x@y' }, 'https://ghcr.io/v2/': { auth: base64('old:old') } },
    });
    await saveCredential(home, 'ghcr.io', { username: 'u', password: 'p' });
    expect(JSON.parse(await readFile(join(home, 'credentials.json'), 'utf8'))).toEqual({
      HttpHeaders: { a: 'b' },
      auths: { 'quay.io': { auth: base64('q:q'), email: 'x@y' }, 'ghcr.io': { auth: base64('u:p') } },
    });
  });

  test('a malformed file is not overwritten', async () => {
    await write('kit/credentials.json', '{');
    await expect(saveCredential(home, 'ghcr.io', { username: 'u', password: 'p' })).rejects.toMatchObject({ code: 'CREDENTIALS_FAILED' });
    expect(await readFile(join(home, 'credentials.json'), 'utf8')).toBe('{');
  });

  test.skipIf(process.platform === 'win32')('a linked file is replaced where it lies', async () => {
    await write('real.json', {});
    await mkdir(home);
    await symlink(join(directory, 'real.json'), join(home, 'credentials.json'));
    await saveCredential(home, 'ghcr.io', { username: 'u', password: 'p' });
    expect(await readFile(join(directory, 'real.json'), 'utf8')).toContain('ghcr.io');
    expect((await stat(join(directory, 'real.json'))).mode & 0o777).toBe(0o600);
  });

  test('deleting says whether there was one', async () => {
    expect(await deleteCredential(home, 'ghcr.io')).toBe(false);
    await saveCredential(home, 'ghcr.io', { username: 'u', password: 'p' });
    await saveCredential(home, 'quay.io', { username: 'u', password: 'p' });
    expect(await deleteCredential(home, 'ghcr.io')).toBe(true);
    expect(await deleteCredential(home, 'ghcr.io')).toBe(false);
    expect(await findCredential('quay.io', { env, home })).toBeDefined();
    expect(await findCredential('ghcr.io', { env, home })).toBeUndefined();
  });
});
