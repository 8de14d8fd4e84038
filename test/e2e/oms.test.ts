import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { fakeToken, startSigstoreMock } from '../support/sigstore-mock.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = ['--key', join(KEYS, 'cosign.key')];
const PUB = ['--key', join(KEYS, 'cosign.pub')];
const env = { COSIGN_PASSWORD: 'golden-test-only' };

const FILES = {
  'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\ndatasets: [{path: data}]\n',
  'm/w.bin': 'weights',
  'm/data/a.csv': 'a',
  'm/data/b.csv': 'b',
};

async function published(...options: string[]): Promise<{ box: Sandbox; registry: TestRegistry; name: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  await box.write(FILES);
  const name = `${registry.host}/team/m:v1`;
  await box.ok(['pack', 'm', '-t', name, '--push', ...options]);
  return { box, registry, name };
}

test.each([
  ['tar layers', []],
  ['compressed tar layers', ['--compression', 'gzip']],
  ['raw layers', ['--use-model-pack']],
])('sign, verify, unpack and verify again: %s', async (_, options) => {
  const { box, name } = await published(...options);
  expect(await box.ok(['sign', '--oms', name, ...KEY], { env })).toMatch(
    /^Signed 3 files of sha256:\w{64}: model signature sha256:\w{64}\n$/,
  );
  expect(await box.ok(['verify', '--oms', name, ...PUB])).toMatch(/^verified 3 files of .*, key .*cosign\.pub\n$/);
  await box.ok(['unpack', name, '--oms', '-d', 'out']);
  expect((await box.tree('out')).filter((path) => !path.endsWith('/'))).toEqual([
    'Kitfile',
    'data/a.csv',
    'data/b.csv',
    'model.sig',
    'w.bin',
  ]);
  expect(await box.ok(['verify', '--oms', 'out', ...PUB])).toMatch(/^verified 3 files of out: out\/model\.sig, key/);

  expect(await box.kit(['verify', '--oms', './none', ...PUB])).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(/^error: there is no directory \.\/none\n/) as string,
  });
  await box.write({ 'out/w.bin': 'weightz', 'out/extra': '' });
  expect(await box.kit(['verify', '--oms', 'out', ...PUB])).toMatchObject({
    status: 6,
    stdout: '',
    stderr: expect.stringContaining('w.bin was changed, extra was not signed') as string,
  });
  await box.write({ 'out/w.bin': 'weights' });
  expect(await box.kit(['verify', '--oms', 'out', ...PUB])).toMatchObject({ status: 6 });
  await box.ok(['verify', '--oms', 'out', ...PUB, '--ignore-unsigned-files']);
  await rm(box.path('out/data/a.csv'));
  expect(await box.kit(['verify', '--oms', 'out', ...PUB, '--ignore-unsigned-files'])).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('data/a.csv is missing') as string,
  });
});

test('raw layers are signed and verified without being read', async () => {
  const { box, registry, name } = await published('--use-model-pack');
  const before = registry.requests.length;
  await box.ok(['sign', '--oms', name, ...KEY], { env });
  await box.ok(['verify', '--oms', '--remote', name, ...PUB]);
  const { layers } = (JSON.parse(await box.ok(['inspect', '--remote', name])) as { manifest: { layers: { digest: string }[] } }).manifest;
  expect(layers).toHaveLength(3);
  const read = registry.requests
    .slice(before)
    .filter(({ method, path }) => method === 'GET' && layers.some(({ digest }) => path.includes(digest)));
  expect(read).toEqual([]);
});

test('a model signature is no signature of the artifact, nor the other way round', async () => {
  const { box, name } = await published();
  await box.ok(['sign', '--oms', name, ...KEY], { env });
  expect(await box.kit(['verify', name, ...PUB])).toMatchObject({ status: 6 });
  const { box: other, name: signed } = await published();
  await other.ok(['sign', signed, ...KEY], { env });
  expect(await other.kit(['verify', '--oms', signed, ...PUB])).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('no model signatures found') as string,
  });
  expect(await other.kit(['unpack', signed, '--oms', '-d', 'out'])).toMatchObject({ status: 3, stdout: '' });
  expect(await other.tree('.')).not.toContain('out/');
});

test("the wrong key, and another model's signature", async () => {
  const { box, registry, name } = await published('--use-model-pack');
  await box.ok(['sign', '--oms', name, ...KEY], { env });
  expect(await box.kit(['verify', '--oms', name, '--key', join(KEYS, 'wrong.pub')])).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('is not by the key') as string,
  });
  await box.write({ 'm/w.bin': 'other weights' });
  const other = `${registry.host}/team/m:v2`;
  await box.ok(`pack m -t ${other} --push --use-model-pack`);
  await box.ok(['sign', '--oms', other, ...KEY, '--no-upload', '--bundle', 'other.sig'], { env });
  await box.ok(['unpack', name, '--oms', '-d', 'out', '--verify', ...PUB]).then(
    () => expect.unreachable(),
    (error: Error) => expect(error.message).toContain('no signature is accepted'),
  );
  await box.ok(['unpack', name, '--oms', '-d', 'out']);
  expect(await box.kit(['verify', '--oms', 'out', ...PUB, '--bundle', 'other.sig'])).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('w.bin was changed') as string,
  });
});

test('of several model signatures unpack takes the one by the key', async () => {
  const { box, name } = await published('--use-model-pack');
  await box.ok('generate-key-pair --output-key-prefix mine', { env });
  await box.ok(['sign', '--oms', name, '--key', 'mine.key'], { env });
  await box.ok(['sign', '--oms', name, ...KEY], { env });
  expect(await box.kit(['unpack', name, '--oms', '-d', 'out'])).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('has 2 model signatures') as string,
  });
  await box.ok(['sign', name, ...KEY], { env });
  await box.ok(['unpack', name, '--oms', '-d', 'out', '--verify', ...PUB]);
  await box.ok(['verify', '--oms', 'out', ...PUB]);
});

test('a model that comes from another ModelKit is signed with it', async () => {
  const { box, registry, name } = await published();
  await box.write({
    'tuned/Kitfile': `manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: ${name}}\ncode: [{path: run.py}]\n`,
    'tuned/run.py': 'run',
  });
  const tuned = `${registry.host}/team/tuned:v1`;
  await box.ok(`pack tuned -t ${tuned} --push`);
  expect(await box.ok(['sign', '--oms', tuned, ...KEY], { env })).toMatch(/^Signed 2 files/);
  await box.ok(['unpack', tuned, '--oms', '-d', 'out']);
  await box.ok(['verify', '--oms', 'out', ...PUB]);
});

test('a directory is signed in place, and what model signatures leave out is told', async () => {
  const box = await sandbox();
  await box.write({ ...FILES, 'm/.gitattributes': 'x' });
  expect(await box.ok(['sign', '--oms', 'm', ...KEY], { env })).toBe('Signed 4 files of m: m/model.sig\n');
  await box.ok(['sign', '--oms', 'm', ...KEY], { env });
  await box.ok(['verify', '--oms', 'm', ...PUB]);
  await box.ok(['sign', '--oms', 'm', ...KEY, '--bundle', 'm/own.sig'], { env });
  await box.ok(['verify', '--oms', 'm', ...PUB, '--bundle', 'm/own.sig']);

  await box.write({
    'k/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: k}\nmodel: {path: .}\n',
    'k/.gitattributes': 'x',
    'k/w.bin': 'w',
  });
  await box.ok('pack k -t k:v1');
  expect(await box.kit(['sign', '--oms', 'k:v1', ...KEY], { env })).toMatchObject({
    status: 0,
    stderr: expect.stringContaining('not covered by the model signature: .gitattributes') as string,
  });
  await box.ok(['unpack', 'k:v1', '--oms', '-d', 'out']);
  await box.ok(['verify', '--oms', 'out', ...PUB]);
});

test('what model_signing signed is verified; a damaged or hostile file is refused', async () => {
  const box = await sandbox();
  await cp(join(GOLDEN, 'input/weights'), box.path('weights'), { recursive: true });
  const golden = join(GOLDEN, 'oms');
  const check = ['verify', '--oms', 'weights', '--key', join(golden, 'oms-test.pub.pem')];
  await cp(join(golden, 'model.sig'), box.path('weights/model.sig'));
  expect(await box.ok(check)).toMatch(/^verified 3 files/);
  expect(await box.kit(['verify', '--oms', 'weights', '--key', join(golden, 'wrong.pub.pem')])).toMatchObject({ status: 6 });

  const bundle = JSON.parse(await readFile(join(golden, 'model.sig'), 'utf8')) as { dsseEnvelope: { payload: string } };
  const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString().replace('model-00001', '../el-00001');
  bundle.dsseEnvelope.payload = Buffer.from(payload).toString('base64');
  await writeFile(box.path('weights/model.sig'), JSON.stringify(bundle));
  expect(await box.kit(check)).toMatchObject({ status: 6, stderr: expect.stringContaining('it was changed after signing') as string });
  await writeFile(box.path('weights/model.sig'), '{');
  expect(await box.kit(check)).toMatchObject({ status: 6, stderr: expect.stringContaining('is not JSON') as string });
  await writeFile(box.path('weights/model.sig'), Buffer.alloc(33 * 1024 * 1024, ' '));
  expect(await box.kit(check)).toMatchObject({ status: 6, stderr: expect.stringContaining('more than 33554432 bytes') as string });
  await rm(box.path('weights/model.sig'));
  expect(await box.kit(check)).toMatchObject({ status: 3, stderr: expect.stringContaining('weights/model.sig does not exist') as string });
});

test.each<[string, string[], number, string]>([
  ['annotations', ['sign', '--oms', 'm', ...KEY, '-a', 'a=b'], 2, '--annotations does not go with --oms'],
  ['recursion', ['sign', '--oms', 'm', ...KEY, '-r'], 2, '--recursive does not go with --oms'],
  ['the legacy format', ['sign', '--oms', 'm', ...KEY, '--signature-format', 'legacy'], 2, '--signature-format legacy does not go'],
  ['no place for it', ['sign', '--oms', 'a:v1', ...KEY, '--no-upload'], 2, '--no-upload needs --bundle'],
  ['a bundle for an artifact', ['verify', '--oms', 'a:v1', ...PUB, '--bundle', 'x'], 2, 'for a directory only'],
  ['unsigned files without --oms', ['verify', 'a:v1', ...PUB, '--ignore-unsigned-files'], 2, 'goes with --oms'],
  ['a part of a model', ['unpack', 'a:v1', '--oms', '--filter', 'model'], 2, '--oms does not go with --filter'],
  ['an empty directory', ['sign', '--oms', 'empty', ...KEY], 1, 'holds no files'],
])('refused: %s', async (_, args, status, message) => {
  const box = await sandbox();
  await box.write({ 'empty/.git/x': '', 'm/x': '' });
  const run = await box.kit(args, { env });
  expect(run).toMatchObject({ status, stdout: '' });
  expect(run.stderr).toContain(message);
});

test('as an identity: a directory and an artifact', async () => {
  const box = await sandbox();
  const sigstore = await startSigstoreMock(box.root);
  onTestFinished(async () => {
    await sigstore.close();
  });
  await box.write(FILES);
  const services = ['--fulcio-url', sigstore.url, '--rekor-url', sigstore.url];
  const token = { SIGSTORE_ID_TOKEN: fakeToken() };
  const trust = ['--certificate-oidc-issuer', 'https://issuer.example.com', '--trusted-root', sigstore.trustedRoot];
  await box.ok(['pack', 'm', '-t', 'oci:lay:v1']);
  for (const what of ['m', 'oci:lay:v1']) {
    await box.ok(['sign', '--oms', what, ...services], { env: token });
    expect(await box.ok(['verify', '--oms', what, '--certificate-identity', 'dev@example.com', ...trust])).toMatch(
      /^verified \d files of .*, identity dev@example\.com \(https:\/\/issuer\.example\.com\)\n$/,
    );
    expect(await box.kit(['verify', '--oms', what, '--certificate-identity', 'dev@example.co', ...trust])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('it is by dev@example.com') as string,
    });
  }
});

test.each([
  ['sign m --certificate x.crt --key x.key', '--certificate goes with --oms'],
  ['verify m --certificate-chain x.crt --key x.key', '--certificate-chain goes with --oms'],
  ['sign --oms m --certificate x.crt', '--certificate needs --key'],
  ['sign --oms m --certificate-chain x.crt --key x.key', '--certificate-chain goes with --certificate'],
  ['verify --oms m --certificate-chain x.crt --key x.pub', '--certificate-chain and --key contradict each other'],
])('kit %s', async (args, message) => {
  const box = await sandbox();
  await box.write(FILES);
  expect(await box.kit(args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(message) as string });
});
