import { expect, onTestFinished, test } from 'vitest';
import { startHub } from '../support/hub-server.ts';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startS3, type TestS3 } from '../support/s3-server.ts';

const KITFILE = `manifestVersion: 1.0.0
model: {name: tiny, path: w/tiny.gguf, remotePath: "hf://acme/tiny/tiny.gguf"}
datasets:
  # what we train on
  - {name: train, path: data/train.csv, remotePath: "s3://reviews/train.csv", remoteHash: "2a5ca24a8d3a5ca6cbd4dbb2b8ed9a07"}
  - {name: raw, path: raw, remotePath: "s3://reviews/raw/"}
`;

async function setup(): Promise<{ box: Sandbox; s3: TestS3; env: Readonly<Record<string, string>> }> {
  const s3 = await startS3();
  onTestFinished(() => s3.close());
  const hub = await startHub([{ id: 'acme/tiny', files: { 'tiny.gguf': Buffer.alloc(5000, 7) } }]);
  onTestFinished(() => hub.close());
  s3.put('reviews', 'train.csv', 'a,b\n');
  s3.put('reviews', 'raw/1.txt', 'one');
  s3.put('reviews', 'raw/deep/2.txt', 'two');
  const box = await sandbox();
  await box.write({ 'ctx/Kitfile': KITFILE.replace('2a5ca24a8d3a5ca6cbd4dbb2b8ed9a07', s3.etag('reviews', 'train.csv')) });
  return { box, s3, env: { ...s3.env, HF_ENDPOINT: hub.url, AWS_EC2_METADATA_DISABLED: 'true' } };
}

test('a ModelKit of content that stays elsewhere: packed, unpacked without it and with it, shown', async () => {
  const { box, env } = await setup();
  const packed = await box.kit('pack ctx -t mine:v1', { env });
  expect(packed.status).toBe(0);
  expect(packed.stderr.split('\n')).toEqual([
    'warning: model stays at hf://acme/tiny/tiny.gguf: its files are not part of the ModelKit',
    'warning: dataset train stays at s3://reviews/train.csv: its files are not part of the ModelKit',
    'warning: dataset raw stays at s3://reviews/raw/: its files are not part of the ModelKit',
    '',
  ]);
  const plain = await box.kit('unpack mine:v1 -d plain -f kitfile -f datasets:train');
  expect(plain).toMatchObject({ status: 0, stdout: 'Unpacking to <TMP>/plain\nUnpacking config to <TMP>/plain/Kitfile\n' });
  expect(plain.stderr).toBe(
    'warning: dataset train stays at s3://reviews/train.csv: its files are not part of the ModelKit; `kit unpack mine:v1 --include-remote` fetches them\n',
  );
  const unpacked = await box.kit('unpack mine:v1 -d out --include-remote', { env });
  expect(unpacked).toMatchObject({ status: 0, stderr: '' });
  expect(unpacked.stdout).toBe(`Unpacking to <TMP>/out
Unpacking config to <TMP>/out/Kitfile
Fetching model from hf://acme/tiny/tiny.gguf to w/tiny.gguf
Fetching dataset train from s3://reviews/train.csv to data/train.csv
Fetching dataset raw from s3://reviews/raw/ to raw/1.txt
Fetching dataset raw from s3://reviews/raw/ to raw/deep/2.txt
`);
  expect(await box.tree('out')).toEqual([
    'Kitfile',
    'data/',
    'data/train.csv',
    'raw/',
    'raw/1.txt',
    'raw/deep/',
    'raw/deep/2.txt',
    'w/',
    'w/tiny.gguf',
  ]);
  expect(await box.ok('info mine:v1 --filter datasets[0].remotePath')).toBe('s3://reviews/train.csv\n');
  expect(await box.ok('tree mine:v1')).toMatch(/dataset: raw: s3:\/\/reviews\/raw\/\n.*dataset elsewhere, 2 files · 6 B/);
});

test('what has changed since then is an integrity error, and nothing is left behind', async () => {
  const { box, s3, env } = await setup();
  await box.ok('pack ctx -t mine:v1', { env });
  s3.put('reviews', 'raw/deep/2.txt', 'TWO');
  const run = await box.kit('unpack mine:v1 -d out --include-remote', { env });
  expect(run.status).toBe(6);
  expect(run.stdout).toBe('');
  expect(run.stderr).toMatch(/^error: s3:\/\/reviews\/raw\/ \(deep\/2\.txt\): the content has digest sha256:\w+ instead of sha256:\w+\n/);
  await expect(box.tree('out')).rejects.toThrow('ENOENT');
});

test('a bucket out of reach: named, with what to do; without asking it can be packed all the same', async () => {
  const { box, env } = await setup();
  const denied = await box.kit('pack ctx -t mine:v1', { env: { ...env, AWS_ACCESS_KEY_ID: 'other' } });
  expect(denied.status).toBe(4);
  expect(denied.stderr).toMatch(/^error: S3 denies access to s3:\/\/reviews\/train\.csv \(403 .*\)\n\nhint: give AWS credentials/);
  const unhashed = await box.kit('pack ctx -t mine:v1 --no-verify-remote');
  expect(unhashed.status).toBe(2);
  expect(unhashed.stderr).toMatch(/^error: model: nothing would say what is at hf:\/\/acme\/tiny\/tiny\.gguf\n/);
  await box.write({
    'one/Kitfile': 'manifestVersion: 1.0.0\ndatasets: [{name: train, path: t, remotePath: "s3://bucket/t", remoteHash: abc}]\n',
  });
  expect(await box.kit('pack one -t one:v1 --no-verify-remote')).toMatchObject({ status: 0 });
});

test('the list of a layout names the layout', async () => {
  const box = await sandbox();
  await box.write({ 'ctx/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'ctx/m': 'm\n' });
  await box.ok('pack ctx -t oci:layout:v1');
  expect(await box.ok('list oci:layout --format {{.Repo}}:{{.Tags}}')).toBe('oci:layout:[v1]\n');
});

test('what stays elsewhere is listed, and read there when asked to', async () => {
  const { box, env } = await setup();
  await box.ok('pack ctx -t mine:v1', { env });
  expect(await box.kit('files mine:v1')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    MODE         SIZE      LAYER       PATH
    -rw-r--r--   4.8 KiB   elsewhere   w/tiny.gguf (at hf://acme/tiny/tiny.gguf)
    -rw-r--r--   4 B       elsewhere   data/train.csv (at s3://reviews/train.csv)
    -rw-r--r--   3 B       elsewhere   raw/1.txt (at s3://reviews/raw/)
    -rw-r--r--   3 B       elsewhere   raw/deep/2.txt (at s3://reviews/raw/)
    --- stderr
    0 names in 0 layers; 0 B of 0 B were read
    4 names elsewhere, as recorded: \`kit unpack mine:v1 --include-remote\` fetches what is there
  `);
  expect(await box.kit('cat mine:v1 data/train.csv')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: data/train.csv is not in mine:v1: it stays at s3://reviews/train.csv

    hint: \`--include-remote\` reads it there
  `);
  expect(await box.kit('cat mine:v1 train.csv --include-remote', { env })).toMatchObject({ status: 0, stdout: 'a,b\n', stderr: '' });
  const tensors = await box.kit('inspect --tensors mine:v1');
  expect(tensors).toMatchObject({ status: 1, stdout: '' });
  expect(tensors.stderr).toContain('hint: `--include-remote` reads the headers there');
});
