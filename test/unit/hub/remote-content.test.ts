import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { PACK_FORMATS } from '../../../src/formats/registry.ts';
import type { Dataset, Kitfile, RemoteFileRecord } from '../../../src/kitfile/types.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { parseFilter } from '../../../src/operations/artifact/filter.ts';
import { importModel } from '../../../src/operations/import/import.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { loadArtifact } from '../../../src/operations/artifact/load-artifact.ts';
import { pack, type PackArguments, type PackResult } from '../../../src/operations/pack/pack.ts';
import { unpack, type UnpackArguments, type UnpackResult } from '../../../src/operations/unpack/unpack.ts';
import { startHub, type TestHub } from '../../support/hub-server.ts';
import { startS3, type TestS3 } from '../../support/s3-server.ts';
import { type Workspace, workspace } from '../operations/sandbox.ts';

const TAG = parseLocation('mine:v1');
const BIG = Buffer.alloc(3_000_000, 'abcdefg');
const digestOf = (content: string | Buffer): Digest => `sha256:${createHash('sha256').update(content).digest('hex')}`;

interface Setup {
  readonly s3: TestS3;
  readonly kit: Kit;
  readonly space: Workspace;
  /** Packs datasets beside a model file. */
  pack(datasets: readonly Dataset[], args?: Partial<PackArguments>): Promise<PackResult>;
  unpack(args?: Partial<UnpackArguments>): Promise<UnpackResult>;
  kitfile(): Promise<Kitfile | undefined>;
  files(...names: string[]): Record<string, string>;
  warnings(): string[];
}

async function setup(env: Readonly<Record<string, string>> = {}): Promise<Setup> {
  const s3 = await startS3();
  onTestFinished(() => s3.close());
  const space = workspace();
  const kit = createKit({
    home: space.home,
    env: { ...s3.env, HOME: space.root, ...env },
    network: { plainHttp: true, sleep: async () => {} },
  });
  onTestFinished(() => kit.close());
  space.write({ 'ctx/m': 'm' });
  return {
    s3,
    kit,
    space,
    pack: async (datasets, args) => {
      const text = JSON.stringify({ manifestVersion: '1.0.0', model: { path: 'm' }, datasets });
      return await pack(kit, { directory: space.path('ctx'), kitfile: { text, file: 'Kitfile' }, destination: TAG, ...args }, space.call);
    },
    unpack: async (args) => await unpack(kit, { source: TAG, directory: space.path('out'), includeRemote: true, ...args }, space.call),
    kitfile: async () => (await loadArtifact((await kit.store()).repository('mine'), 'v1', 'mine:v1', {})).kitfile,
    files: (...names) => Object.fromEntries(names.map((name) => [name, readFileSync(space.path('out', name), 'utf8')])),
    warnings: () => space.events.flatMap((event) => (event.type === 'warning' ? `${event.code}: ${event.message}` : [])),
  };
}

const object = (fields: Partial<Dataset> = {}): Dataset => ({
  name: 'train',
  path: 'data/train.csv',
  remotePath: 's3://bkt/train.csv',
  ...fields,
});

/** A ModelKit with this record, whatever is at the place. */
async function forge({ kit }: Setup, dataset: Dataset, files: readonly RemoteFileRecord[]): Promise<void> {
  const kitfile: Kitfile = { manifestVersion: '1.0.0', package: {}, datasets: [{ ...dataset, remoteFiles: files }] };
  const { config, manifest } = PACK_FORMATS.modelkit.assemble(kitfile, [], {});
  const target = (await kit.store()).repository('mine');
  await target.push(config.descriptor, bytesSource(config.bytes));
  const descriptor = descriptorOf(MEDIA_TYPE.imageManifest, manifest);
  await target.push(descriptor, bytesSource(manifest));
  await target.tag(descriptor, 'v1');
}

describe('S3', () => {
  test('an object and all below a prefix: recorded with size and SHA-256, fetched and checked', async () => {
    const box = await setup();
    box.s3.behaviour.pageSize = 2;
    box.s3.put('bkt', 'train.csv', 'a,b\n');
    const many = { 'all/one.txt': '1', 'all/two words+%.txt': '22', 'all/sub/deep.bin': BIG, 'all/empty': '' };
    for (const [key, content] of Object.entries(many)) box.s3.put('bkt', key, content);
    box.s3.put('bkt', 'all/folder/', '');
    const { layers } = await box.pack([
      object({ remoteHash: box.s3.etag('bkt', 'train.csv') }),
      { path: 'many', remotePath: 's3://bkt/all/' },
    ]);
    expect(layers.map(({ role }) => role)).toEqual(['model']);
    const [train, all] = (await box.kitfile())?.datasets ?? [];
    expect(train?.remoteFiles).toEqual([{ path: '', size: 4, digest: digestOf('a,b\n') }]);
    expect(all?.remoteFiles?.map(({ path, size }) => [path, size])).toEqual([
      ['empty', 0],
      ['one.txt', 1],
      ['sub/deep.bin', BIG.byteLength],
      ['two words+%.txt', 2],
    ]);
    const { remote, fileCount } = await box.unpack();
    expect(remote).toHaveLength(5);
    expect(fileCount).toBe(7);
    expect(box.files('data/train.csv', 'many/two words+%.txt')).toEqual({ 'data/train.csv': 'a,b\n', 'many/two words+%.txt': '22' });
    expect(readFileSync(box.space.path('out/many/sub/deep.bin')).equals(BIG)).toBe(true);
    expect(
      box.s3.requests.filter(({ method, path, ifMatch }) => method === 'GET' && !path.includes('list-type') && ifMatch === undefined),
    ).toEqual([]);
  });

  test('the SHA-256 that S3 has is not found by reading, nor is one that is known from before', async () => {
    const box = await setup();
    box.s3.put('bkt', 'train.csv', 'summed', { checksum: true });
    box.s3.put('bkt', 'plain.csv', 'plain');
    const reads = (): string[] => box.s3.requests.filter(({ method }) => method === 'GET').map(({ path }) => path.replace(/\?.*/, ''));
    await box.pack([object()]);
    expect(reads()).toEqual([]);
    expect((await box.kitfile())?.datasets?.[0]?.remoteFiles?.[0]?.digest).toBe(digestOf('summed'));
    await box.pack([object({ remotePath: 's3://bkt/plain.csv' })]);
    expect(reads()).toEqual(['bkt/plain.csv']);
    await box.pack([object({ remotePath: 's3://bkt/plain.csv' })]);
    await box.pack([object({ remotePath: 's3://bkt/plain.csv', remoteHash: digestOf('plain') })]);
    expect(reads()).toEqual(['bkt/plain.csv']);
  });

  test('a download that breaks goes on, over ranges of the same version', async () => {
    const box = await setup();
    box.s3.put('bkt', 'train.csv', BIG, { checksum: true });
    await box.pack([object()]);
    let broken = 0;
    box.s3.behaviour.intercept = (request, response) => {
      if (request.method !== 'GET' || broken++ > 0) return false;
      response.writeHead(200, { 'content-length': BIG.byteLength });
      response.write(BIG.subarray(0, 1_000_000), () => response.destroy());
      return true;
    };
    await box.unpack();
    expect(readFileSync(box.space.path('out/data/train.csv')).equals(BIG)).toBe(true);
    expect(box.s3.requests.at(-1)).toMatchObject({ status: 206, ifMatch: `"${box.s3.etag('bkt', 'train.csv')}"` });
    expect(Number(/\d+/.exec(box.s3.requests.at(-1)?.range ?? '')?.[0])).toBeGreaterThan(0);
  });

  test('what is not what was packed is refused, and nothing is written', async () => {
    const box = await setup();
    box.s3.put('bkt', 'train.csv', 'a,b\n');
    await box.pack([object()]);
    box.s3.behaviour.tamper = (_key, content) => Buffer.from(content.toString().replace('a', 'x'));
    await expect(box.unpack()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    box.s3.behaviour.tamper = undefined;
    box.s3.put('bkt', 'train.csv', 'x,y\n');
    await expect(box.unpack()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    box.s3.put('bkt', 'train.csv', 'longer');
    await expect(box.unpack()).rejects.toMatchObject({ code: 'SOURCE_CHANGED', message: expect.stringContaining('has 6 bytes') as string });
    expect(existsSync(box.space.path('out'))).toBe(false);
  });

  test('remoteHash is checked at pack, and alone where nothing was recorded', async () => {
    const box = await setup();
    box.s3.put('bkt', 'train.csv', 'a,b\n');
    await expect(box.pack([object({ remoteHash: 'other' })])).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: expect.stringContaining(box.s3.etag('bkt', 'train.csv')) as string,
    });
    await expect(box.pack([object()], { verifyRemote: false })).rejects.toMatchObject({ code: 'KITFILE_INVALID' });
    const asked = box.s3.requests.length;
    await box.pack([object({ remoteHash: box.s3.etag('bkt', 'train.csv') })], { verifyRemote: false });
    expect(box.s3.requests).toHaveLength(asked);
    expect((await box.kitfile())?.datasets?.[0]?.remoteFiles).toBeUndefined();
    await box.unpack();
    expect(box.files('data/train.csv')).toEqual({ 'data/train.csv': 'a,b\n' });
    expect(box.warnings().at(-1)).toMatch(/^REMOTE_UNVERIFIED: dataset train: no SHA-256 was recorded/);
    box.s3.put('bkt', 'train.csv', 'x,y\n');
    await expect(box.unpack({ conflict: 'overwrite' })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('keys and records that lead out of the folder are refused', async () => {
    const box = await setup();
    box.s3.put('bkt', 'all/../../evil', 'x');
    await expect(box.pack([object({ remotePath: 's3://bkt/all/' })])).rejects.toMatchObject({ code: 'UNSAFE_PATH' });
    box.s3.put('bkt', 'train.csv', 'x');
    for (const path of ['../../evil', '/evil', 'a\\b']) {
      await forge(box, object({ remotePath: 's3://bkt/train.csv' }), [{ path, size: 1, digest: digestOf('x') }]);
      await expect(box.unpack()).rejects.toMatchObject({ code: expect.stringMatching(/UNSAFE_PATH|SOURCE_CHANGED/) as string });
    }
    await forge(box, object({ path: '../up' }), [{ path: '', size: 1, digest: digestOf('x') }]);
    await expect(box.unpack()).rejects.toMatchObject({ code: 'UNSAFE_PATH' });
    await forge(box, object({ path: 'a' }), [
      { path: '', size: 1, digest: digestOf('x') },
      { path: '', size: 1, digest: digestOf('x') },
    ]);
    await expect(box.unpack()).rejects.toMatchObject({ code: 'UNSAFE_ENTRY' });
    for (const remotePath of [
      'file:///etc/passwd',
      '/etc/passwd',
      'http://169.254.169.254/latest',
      'http://[fd00:ec2::254]/',
      's3://../x',
    ]) {
      await forge(box, object({ remotePath }), [{ path: '', size: 1, digest: digestOf('x') }]);
      await expect(box.unpack(), remotePath).rejects.toMatchObject({
        code: expect.stringMatching(/UNSUPPORTED|DENIED|REFERENCE_INVALID/) as string,
      });
    }
    expect(existsSync(box.space.path('out'))).toBe(false);
  });

  test('filters choose by name and by path; what is not asked for is said, with the command', async () => {
    const box = await setup();
    box.s3.put('bkt', 'train.csv', 'a');
    box.s3.put('bkt', 'all/x.bin', 'x');
    box.s3.put('bkt', 'all/y.txt', 'y');
    await box.pack([object(), { name: 'many', path: 'many', remotePath: 's3://bkt/all/' }]);
    const paths = async (filter: string): Promise<unknown> =>
      (await box.unpack({ filters: [parseFilter(filter)], conflict: 'overwrite' })).remote?.map(({ path }) => path);
    expect(await paths('datasets:train')).toEqual(['data/train.csv']);
    expect(await paths('path:*.bin')).toEqual(['many/x.bin']);
    expect(await paths('model')).toEqual([]);
    await expect(paths('path:*.zip')).rejects.toMatchObject({ code: 'FILTER_UNMATCHED' });
    await expect(paths('datasets:other')).rejects.toMatchObject({
      code: 'FILTER_UNMATCHED',
      message: expect.stringContaining('datasets:train') as string,
    });
    box.space.events.length = 0;
    const { remote } = await box.unpack({ includeRemote: false, filters: [parseFilter('datasets:train')] });
    expect(remote).toBeUndefined();
    expect(box.warnings()).toEqual([
      'REMOTE_CONTENT: dataset train stays at s3://bkt/train.csv: its files are not part of the ModelKit; `kit unpack mine:v1 --include-remote` fetches them',
    ]);
  });

  test('what is missing or forbidden has its own error, and no secret is in it', async () => {
    const box = await setup();
    await expect(box.pack([object()])).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
      message: expect.stringContaining('s3://bkt/train.csv') as string,
    });
    await expect(box.pack([object({ remotePath: 's3://bkt/none/' })])).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    box.s3.behaviour.intercept = (_request, response) => {
      response.writeHead(403).end();
      return true;
    };
    const error: Error = await box.pack([object()]).then(
      () => new Error('packed'),
      (reason: Error) => reason,
    );
    expect(error).toMatchObject({ code: 'DENIED', hint: expect.stringContaining('AWS_ACCESS_KEY_ID') as string });
    expect(error.message).not.toMatch(/secret|AKID/);
  });

  test('a public bucket needs no credentials', async () => {
    const box = await setup({ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' });
    const { AWS_EC2_METADATA_DISABLED: before } = process.env;
    process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
    onTestFinished(() => {
      if (before === undefined) delete process.env['AWS_EC2_METADATA_DISABLED'];
      else process.env['AWS_EC2_METADATA_DISABLED'] = before;
    });
    await expect(box.pack([object()])).rejects.toMatchObject({ code: 'DENIED' });
    expect(box.s3.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test('is imported from, an archive too', async () => {
    const box = await setup();
    box.s3.put('bkt', 'tiny/model.gguf', Buffer.alloc(9000, 5));
    box.s3.put('bkt', 'tiny/README.md', '# hi\n');
    const { kitfile, source } = await importModel(box.kit, { source: 's3://bkt/tiny/', destination: TAG }, box.space.call);
    expect(source).toBe('s3://bkt/tiny/');
    expect(kitfile.model?.path).toBe('model.gguf');
    await box.unpack();
    expect(box.files('README.md')).toEqual({ 'README.md': '# hi\n' });
    await expect(importModel(box.kit, { source: 's3://bkt/tiny/', revision: 'v1' })).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('other places', () => {
  const DATA = { type: 'dataset' as const, id: 'acme/data', files: { 'data/a.parquet': BIG, 'data/b.txt': 'b\n', 'README.md': '#' } };

  async function withHub(): Promise<Setup & { readonly hub: TestHub }> {
    const hub = await startHub([DATA]);
    onTestFinished(() => hub.close());
    return { ...(await setup({ HF_ENDPOINT: hub.url, HF_TOKEN: hub.token })), hub };
  }

  test('a folder and a file of the hub, at the commit that was packed', async () => {
    const { hub, ...box } = await withHub();
    const folder = { path: 'data', remotePath: 'hf://datasets/acme/data/data' };
    await box.pack([folder, { path: 'doc/README.md', remotePath: 'hf://datasets/acme/data/README.md' }]);
    const [first] = (await box.kitfile())?.datasets ?? [];
    expect(first).toMatchObject({
      remoteRevision: hub.sha('acme/data'),
      remoteFiles: [
        { path: 'a.parquet', digest: digestOf(BIG) },
        { path: 'b.txt', size: 2 },
      ],
    });
    expect(hub.log().filter((line) => line.includes('a.parquet'))).toEqual([]);
    hub.clear();
    await box.unpack();
    expect(box.files('data/b.txt', 'doc/README.md')).toEqual({ 'data/b.txt': 'b\n', 'doc/README.md': '#' });
    expect(hub.log().filter((line) => line.includes('/revision/'))).toEqual(Array(2).fill(expect.stringContaining(hub.sha('acme/data'))));
    expect(hub.requests.filter(({ origin, authorization }) => origin === 'cdn' && authorization !== undefined)).toEqual([]);
    hub.behaviour.tamper = (path, content) => (path.endsWith('.parquet') ? Buffer.alloc(content.byteLength) : content);
    await expect(box.unpack({ conflict: 'overwrite' })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('a model that stays on the hub, and a ModelKit without a layer', async () => {
    const { hub: _, ...box } = await withHub();
    const text = JSON.stringify({
      manifestVersion: '1.0.0',
      model: { path: 'w/a.bin', remotePath: 'hf://datasets/acme/data/data/a.parquet' },
    });
    const { layers } = await pack(
      box.kit,
      { directory: box.space.path('ctx'), kitfile: { text, file: 'Kitfile' }, destination: TAG },
      box.space.call,
    );
    expect(layers).toEqual([]);
    expect(await box.unpack({ includeRemote: false })).toMatchObject({ fileCount: 1, kitfile: 'unpacked' });
    expect(await box.unpack({ conflict: 'overwrite', filters: [parseFilter('model')] })).toMatchObject({
      remote: [{ entry: 'model', path: 'w/a.bin' }],
    });
    expect(readFileSync(box.space.path('out/w/a.bin')).equals(BIG)).toBe(true);
  });

  test('a file of a web server; a query that may be a secret is not shown', async () => {
    const box = await setup();
    const server = createServer((request, response) => {
      const whole = Buffer.from('web\n');
      const isPart = request.headers.range !== undefined;
      response.writeHead(isPart ? 206 : 200, isPart ? { 'content-range': 'bytes 0-0/4', 'content-length': 1 } : { 'content-length': 4 });
      response.end(isPart ? whole.subarray(0, 1) : whole);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files/w.tar?sig=SECRET`;
    await box.pack([{ path: 'in/', remotePath: url, remoteHash: digestOf('web\n') }]);
    expect(await box.unpack()).toMatchObject({ remote: [{ path: 'in/w.tar' }] });
    expect(box.files('in/w.tar')).toEqual({ 'in/w.tar': 'web\n' });
    expect(box.warnings().join()).not.toContain('SECRET');
  });

  test('the datasets of another ModelKit, by the digest that its tag had', async () => {
    const box = await setup();
    box.space.write({ 'other/d/x.csv': 'old', 'other/code.py': 'pass' });
    const other = async (): Promise<void> => {
      const text = JSON.stringify({ manifestVersion: '1.0.0', datasets: [{ path: 'd' }], code: [{ path: 'code.py' }] });
      await pack(box.kit, {
        directory: box.space.path('other'),
        kitfile: { text, file: 'Kitfile' },
        destination: parseLocation('data:v1'),
      });
    };
    await other();
    await box.pack([{ name: 'ref', path: 'ref', remotePath: 'data:v1' }]);
    box.space.write({ 'other/d/x.csv': 'new' });
    await other();
    const { layers } = await box.unpack();
    expect(layers.map(({ role, path }) => `${role} ${path}`)).toEqual(['model m', 'dataset ref/d']);
    expect(box.files('ref/d/x.csv')).toEqual({ 'ref/d/x.csv': 'old' });
    expect(existsSync(box.space.path('out/ref/code.py'))).toBe(false);
  });
});
