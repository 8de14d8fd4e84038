import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = join(KEYS, 'cosign.key');
const PUB = join(KEYS, 'cosign.pub');
const PASSWORD = { COSIGN_PASSWORD: 'golden-test-only' };
const KITFILE = 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n';

async function withModel(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'm/Kitfile': KITFILE, 'm/w.bin': 'data' });
  return box;
}

async function serve(referrers = true): Promise<TestRegistry> {
  const registry = await startRegistry({ behaviour: { referrers } });
  onTestFinished(async () => {
    await registry.close();
  });
  return registry;
}

test('a key pair, a signature, a proof', async () => {
  const box = await withModel();
  const { host } = await serve();
  const env = { KIT_KEY_PASSWORD: 'secret' };
  expect(await box.kit('generate-key-pair --output-key-prefix release', { env })).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Private key written to release.key
    Public key written to release.pub
  `);
  expect((await stat(box.path('release.key'))).mode & 0o777).toBe(0o600);
  await box.ok(`pack m -t ${host}/team/m:v1 --push`);
  expect(await box.kit(`sign ${host}/team/m:v1 --key release.key -a stage=prod`, { env })).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^Signed sha256:\w{64}: sigstore bundle sha256:\w{64}, tag sha256-\w{64}\.sig\n$/) as string,
    stderr: '',
  });
  expect(await box.kit(`verify ${host}/team/m:v1 --key release.pub -a stage=prod`)).toMatchObject({ status: 0 });
  expect(await box.kit(`verify ${host}/team/m:v1 --key release.pub -a stage=test`)).toMatchObject({ status: 6, stdout: '' });
  const { signatures } = JSON.parse(await box.ok(`verify ${host}/team/m:v1 --key release.pub --format json`)) as { signatures: unknown[] };
  const signer = { type: 'key', name: 'release.pub', keyId: expect.stringMatching(/^[\w+/]{43}=$/) as string };
  expect(signatures).toMatchObject([
    { kind: 'bundle', accepted: true, signer },
    { kind: 'legacy', accepted: true, signer },
  ]);
  expect(await box.kit(`verify ${host}/team/m:v1 --key ${PUB}`)).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('it names the key') as string,
  });
});

async function keysIn(box: Sandbox): Promise<string[]> {
  return (await readdir(box.root)).filter((name) => /\.(key|pub)$/.test(name));
}

describe('generate-key-pair', () => {
  test('overwrites nothing', async () => {
    const box = await sandbox();
    await box.write({ 'cosign.pub': 'precious' });
    expect(await box.kit('generate-key-pair', { env: PASSWORD })).toMatchInlineSnapshot(`
      exit 1
      --- stderr
      error: cosign.pub exists, and a key is never overwritten

      hint: choose another name with \`--output-key-prefix\`, or move the old one away
    `);
    expect(await keysIn(box)).toEqual(['cosign.pub']);
  });

  test('needs a password or a terminal', async () => {
    const box = await sandbox();
    const run = await box.kit('generate-key-pair');
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining('$KIT_KEY_PASSWORD (or $COSIGN_PASSWORD)') as string });
    expect(await keysIn(box)).toEqual([]);
    // an empty one is a password
    await box.ok('generate-key-pair', { env: { COSIGN_PASSWORD: '' } });
    const { publicKey } = JSON.parse(
      await box.ok('generate-key-pair --output-key-prefix b --format json', { env: { COSIGN_PASSWORD: '' } }),
    ) as { publicKey: string };
    expect(publicKey).toBe('b.pub');
  });
});

describe('where it goes', () => {
  test("an image layout, with cosign's key", async () => {
    const box = await withModel();
    await box.ok('pack m -t oci:layout:v1');
    await box.ok(['sign', 'oci:layout:v1', '--key', KEY], { env: PASSWORD });
    await box.ok(['verify', 'oci:layout:v1', '--key', PUB]);
    await box.ok(['unpack', 'oci:layout', '-d', 'out', '--verify', '--key', PUB]);
    expect(await box.tree('out')).toEqual(['Kitfile', 'w.bin']);
  });

  test('local storage; signatures are not listed as ModelKits', async () => {
    const box = await withModel();
    await box.ok('pack m -t mymodel:v1');
    await box.ok(['sign', 'mymodel:v1', '--key', KEY], { env: PASSWORD });
    await box.ok(['verify', 'mymodel:v1', '--key', PUB]);
    expect((await box.ok('list')).trim().split('\n')).toHaveLength(2);
    await box.ok('pack m -t localhost:5999/team/m:v1');
    await box.ok(['sign', '--local', 'localhost:5999/team/m:v1', '--key', KEY], { env: PASSWORD });
  });

  test('a bundle file, for verification without what lies in the registry', async () => {
    const box = await withModel();
    await box.ok('pack m -t oci:layout:v1');
    await box.ok(['sign', 'oci:layout:v1', '--key', KEY, '--no-upload', '--bundle', 'm.sigstore.json'], { env: PASSWORD });
    expect(await box.kit(['verify', 'oci:layout:v1', '--key', PUB])).toMatchObject({ status: 6 });
    await box.ok(['verify', 'oci:layout:v1', '--key', PUB, '--bundle', 'm.sigstore.json']);
    const text = await readFile(box.path('m.sigstore.json'), 'utf8');
    await writeFile(box.path('tampered.json'), text.replace(/"payload":"./, '"payload":"f'));
    expect(await box.kit(['verify', 'oci:layout:v1', '--key', PUB, '--bundle', 'tampered.json'])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('it was changed after signing') as string,
    });
    await box.write({ 'other/Kitfile': KITFILE, 'other/w.bin': 'other data' });
    await box.ok('pack other -t oci:other-layout:v1');
    expect(await box.kit(['verify', 'oci:other-layout:v1', '--key', PUB, '--bundle', 'm.sigstore.json'])).toMatchObject({
      status: 6,
      stderr: expect.stringMatching(/it signs sha256:\w{64}, not sha256:/) as string,
    });
    await writeFile(box.path('huge.json'), Buffer.alloc(33 * 1024 * 1024, ' '));
    expect(await box.kit(['verify', 'oci:layout:v1', '--key', PUB, '--bundle', 'huge.json'])).toMatchObject({ status: 6 });
  });
});

describe('in one step', () => {
  test('pack --push --sign, then pull --verify and unpack --verify', async () => {
    const box = await withModel();
    const registry = await serve(false);
    const name = `${registry.host}/team/m:v1,latest`;
    const stdout = await box.ok(['pack', 'm', '-t', name, '--push', '--sign', '--key', KEY], { env: PASSWORD });
    const [, digest] = /Model saved: (sha256:\w{64})\nSigned \1\n$/.exec(stdout) ?? [];
    expect(digest).toBeDefined();
    await box.ok(['pull', `${registry.host}/team/m:v1`, '--verify', '--key', PUB]);
    await box.ok(['unpack', `${registry.host}/team/m:latest`, '-d', 'out', '--verify', '--key', PUB]);
    expect(await box.tree('out')).toEqual(['Kitfile', 'w.bin']);
  });

  test('push --sign signs each manifest once, and only with a key that can be read', async () => {
    const box = await withModel();
    const registry = await serve();
    const name = `${registry.host}/team/m`;
    await box.ok(`pack m -t ${name}:v1,latest`);
    expect(await box.kit(['push', `${name}:v1`, '--sign', '--key', KEY], { env: { COSIGN_PASSWORD: 'wrong' } })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('the password is wrong') as string,
    });
    expect(registry.log()).toEqual([]);
    const stdout = await box.ok(['push', `${name}:v1,latest`, '--sign', '--key', KEY, '--signature-format', 'bundle'], { env: PASSWORD });
    expect(stdout.match(/^Signed /gm)).toHaveLength(1);
    const { signatures } = JSON.parse(await box.ok(['verify', '--remote', `${name}:v1`, '--key', PUB, '--format', 'json'])) as {
      signatures: unknown[];
    };
    expect(signatures).toHaveLength(1);
  });

  test('what is not signed is refused before a byte is written', async () => {
    const box = await withModel();
    const registry = await serve();
    const name = `${registry.host}/team/m:v1`;
    await box.ok(`pack m -t ${name} --push`);
    expect(await box.kit(['pull', name, '--verify', '--key', PUB])).toMatchObject({
      status: 6,
      stdout: '',
      stderr: expect.stringContaining('no signatures found') as string,
    });
    expect(await box.kit(['unpack', name, '-d', 'out', '--verify', '--key', PUB])).toMatchObject({ status: 6, stdout: '' });
    expect(await box.tree('.')).not.toContain('out/');
    expect((await box.ok('list')).trim().split('\n')).toHaveLength(1);
  });
});

describe('wrong use', () => {
  test.each<[string, string[], number, string]>([
    ['no key and nobody to ask', ['sign', 'm:v1'], 4, 'there is no identity to sign with'],
    ['a public key', ['sign', 'm:v1', '--key', PUB], 2, 'is a public key: signatures are made with the private one'],
    ['no such key', ['sign', 'm:v1', '--key', 'missing.key'], 3, 'there is no key file missing.key'],
    ['no password', ['sign', 'm:v1', '--key', KEY], 2, 'there is no terminal to ask for its password'],
    ['nothing to do', ['sign', 'm:v1', '--key', KEY, '--no-upload'], 2, '--no-upload needs --bundle'],
    ['one file for many', ['sign', 'm:v1', '--key', KEY, '-r', '--bundle', 'x'], 2, '--bundle takes one signature'],
    ['a format', ['sign', 'm:v1', '--key', KEY, '--signature-format', 'x'], 2, 'use one of both, bundle, legacy'],
    ['an annotation', ['sign', 'm:v1', '--key', KEY, '-a', 'x'], 2, 'write it as KEY=VALUE'],
    ['pull --verify without a key', ['pull', 'localhost:5999/m:v1', '--verify'], 2, '--verify needs a key or an identity'],
    ['--annotations alone', ['pull', 'localhost:5999/m:v1', '--annotations', 'a=b'], 2, '--annotations goes with --verify'],
    ['--client-key alone', ['push', 'localhost:5999/m:v1', '--client-key', 'x'], 2, '--client-key goes with --sign'],
    ['pack --sign into storage', ['pack', 'm', '-t', 'm:v1', '--sign', '--key', KEY], 2, '--sign needs --push'],
    ['a key service that is not there', ['sign', 'm:v1', '--key', 'awskms:///alias/x'], 2, 'there is no sigstore-kms-awskms on PATH'],
  ])('%s', async (_, args, status, message) => {
    const box = await withModel();
    const run = await box.kit(args);
    expect(run).toMatchObject({ status, stdout: '' });
    expect(run.stderr).toContain(message);
  });

  test('the password is in no output', async () => {
    const box = await withModel();
    const env = { COSIGN_PASSWORD: 'hunter2-hunter2' };
    const run = await box.kit(['sign', 'm:v1', '--key', KEY, '-vv'], { env });
    expect(run.status).toBe(2);
    expect(run.stdout + run.stderr).not.toContain('hunter2');
  });
});
