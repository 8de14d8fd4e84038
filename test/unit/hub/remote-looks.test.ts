import { describe, expect, onTestFinished, test } from 'vitest';
import { parseLocation } from '../../../src/oci/reference.ts';
import { diff } from '../../../src/operations/diff/diff.ts';
import { diffTensors } from '../../../src/operations/diff/tensors.ts';
import { cat } from '../../../src/operations/inspect/cat.ts';
import { files } from '../../../src/operations/inspect/files.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { inspectTensors } from '../../../src/operations/tensors/tensors.ts';
import { startHub, type TestHub } from '../../support/hub-server.ts';
import { startS3, type TestS3 } from '../../support/s3-server.ts';
import { GgufBytes } from '../model-files/build.ts';
import { type Workspace, workspace } from '../operations/sandbox.ts';

/** A header, and weights that make it more than what is read as a whole. */
function model(type: 2 | 8, seed: number): Buffer {
  const g = new GgufBytes();
  const bytes = type === 2 ? 18 : 34;
  const header = g.header({ tensors: [{ name: 'w', shape: [32, 100_000], type, offset: 0 }] });
  return Buffer.concat([header, Buffer.alloc(32 - (header.byteLength % 32)), Buffer.alloc(bytes * 100_000, seed)]);
}

interface CatText {
  readonly text: string;
  readonly verified: boolean;
  readonly remote: string | undefined;
}

interface Setup extends Workspace {
  readonly s3: TestS3;
  readonly hub: TestHub;
  readonly remoteKit: Kit;
  /** Packs a Kitfile under a tag, and forgets the requests. */
  readonly packAs: (tag: string, kitfile: unknown) => Promise<void>;
  readonly text: (tag: string, path: string, includeRemote?: boolean) => Promise<CatText>;
}

async function setup(): Promise<Setup> {
  const s3 = await startS3();
  onTestFinished(() => s3.close());
  const hub = await startHub([
    { id: 'acme/tiny', files: { 'tiny.gguf': model(2, 1), 'config.json': '{"architectures":["LlamaForCausalLM"]}' } },
    { id: 'acme/next', files: { 'tiny.gguf': model(8, 2), 'config.json': '{"architectures":["LlamaForCausalLM"]}' } },
  ]);
  onTestFinished(() => hub.close());
  s3.put('bkt', 'train.csv', 'a,b\n');
  s3.put('bkt', 'raw/1.txt', 'one');
  s3.put('bkt', 'raw/deep/2.txt', 'two');
  const space = workspace();
  space.write({ 'ctx/README.md': 'read me' });
  const env = { ...s3.env, HF_ENDPOINT: hub.url, HOME: space.root };
  const remoteKit = createKit({ home: space.home, env, network: { plainHttp: true, sleep: async () => {} } });
  onTestFinished(() => remoteKit.close());
  return {
    ...space,
    s3,
    hub,
    remoteKit,
    packAs: async (tag, kitfile) => {
      const text = JSON.stringify({ manifestVersion: '1.0.0', ...(kitfile as object) });
      await pack(remoteKit, { directory: space.path('ctx'), kitfile: { text, file: 'Kitfile' }, destination: parseLocation(`m:${tag}`) });
      s3.requests.length = 0;
      hub.requests.length = 0;
    },
    text: async (tag, path, includeRemote = true) => {
      const parts: Buffer[] = [];
      const write = async (bytes: Uint8Array): Promise<void> => void (await Promise.resolve(parts.push(Buffer.from(bytes))));
      const { file, verified } = await cat(remoteKit, { source: parseLocation(`m:${tag}`), path, includeRemote }, write);
      return { text: Buffer.concat(parts).toString(), verified, remote: file.remote };
    },
  };
}

const TRAIN = { name: 'train', path: 'data/train.csv', remotePath: 's3://bkt/train.csv' };
const RAW = { name: 'raw', path: 'data/raw', remotePath: 's3://bkt/raw/' };
const side = (tag: string) => ({ location: parseLocation(`m:${tag}`), lookup: 'local' as const });

describe('files', () => {
  test('are listed with where they go, size, digest and place; nobody is asked', async () => {
    const { packAs, remoteKit, s3 } = await setup();
    await packAs('v1', { docs: [{ path: 'README.md' }], datasets: [TRAIN, RAW] });
    const source = parseLocation('m:v1');
    const { files: all } = await files(remoteKit, { source });
    expect(all.map(({ path, size, remote, layer }) => [path, size, remote, layer === undefined])).toEqual([
      ['README.md', 7, undefined, false],
      ['data/train.csv', 4, 's3://bkt/train.csv', true],
      ['data/raw/1.txt', 3, 's3://bkt/raw/', true],
      ['data/raw/deep/2.txt', 3, 's3://bkt/raw/', true],
    ]);
    expect(all[1]?.digest).toMatch(/^sha256:/);
    expect((await files(remoteKit, { source, patterns: ['deep/*', 'data/raw/deep/'] })).files.map(({ path }) => path)).toEqual([
      'data/raw/deep/2.txt',
    ]);
    expect(s3.requests).toEqual([]);
  });

  test('are compared by what was recorded', async () => {
    const space = await setup();
    const { packAs, remoteKit, s3 } = space;
    await packAs('v1', { datasets: [TRAIN, RAW] });
    s3.put('bkt', 'raw/1.txt', 'ONE');
    s3.put('bkt', 'raw/3.txt', 'three');
    space.write({ 'ctx/data/train.csv': 'a,b\n' });
    await packAs('v2', { datasets: [{ name: 'train', path: 'data/train.csv' }, RAW] });
    const result = await diff(remoteKit, { a: side('v1'), b: side('v2'), files: true });
    if ('members' in result) throw new Error('these are artifacts');
    expect(result.files?.added.map(({ path }) => path)).toEqual(['data/raw/3.txt']);
    expect(result.files?.removed).toEqual([]);
    expect(result.files?.changed.map(({ a, b }) => [b.path, a.remote, b.remote])).toEqual([
      ['data/raw/1.txt', 's3://bkt/raw/', 's3://bkt/raw/'],
      ['data/train.csv', 's3://bkt/train.csv', undefined],
    ]);
    expect(result.files?.undecided).toEqual([]);
    expect(s3.requests).toEqual([]);
  });
});

describe('cat', () => {
  test('reads a file where it is when asked to, checked, and that one alone', async () => {
    const { packAs, text, s3 } = await setup();
    await packAs('v1', { datasets: [TRAIN, RAW] });
    expect(await text('v1', 'data/train.csv')).toEqual({ text: 'a,b\n', verified: true, remote: 's3://bkt/train.csv' });
    expect(s3.requests.some(({ path }) => path.includes('raw'))).toBe(false);
    // by a pattern, though its neighbour has changed
    s3.put('bkt', 'raw/1.txt', 'changed since');
    expect(await text('v1', '2.txt')).toMatchObject({ text: 'two' });
    await expect(text('v1', 'data/raw/1.txt')).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  test('unasked it says where the file is, and asks nobody', async () => {
    const { packAs, text, s3 } = await setup();
    await packAs('v1', { datasets: [TRAIN] });
    await expect(text('v1', '*.csv', false)).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
      message: 'data/train.csv is not in m:v1: it stays at s3://bkt/train.csv',
      hint: '`--include-remote` reads it there',
    });
    expect(s3.requests).toEqual([]);
  });

  test('prints nothing of what is not what was recorded', async () => {
    const { packAs, text, s3 } = await setup();
    await packAs('v1', { datasets: [TRAIN] });
    s3.put('bkt', 'train.csv', 'x,y\n');
    await expect(text('v1', 'data/train.csv')).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('several files that match are an error that says where they are', async () => {
    const { packAs, text } = await setup();
    await packAs('v1', { docs: [{ path: 'README.md' }], datasets: [RAW] });
    await expect(text('v1', '*.txt')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('data/raw/1.txt (at s3://bkt/raw/)') as string,
    });
  });
});

const weights = (id: string) => ({ model: { path: 'w', remotePath: `hf://acme/${id}` } });

describe('tensors', () => {
  test('are read by ranges where the weights stay; what is small is checked', async () => {
    const { packAs, remoteKit, hub } = await setup();
    await packAs('v1', weights('tiny'));
    const { files: found, summary, read } = await inspectTensors(remoteKit, parseLocation('m:v1'), 'local', {}, { includeRemote: true });
    expect(summary).toMatchObject({ parameters: 3_200_000, architecture: 'LlamaForCausalLM' });
    expect(new Map(found.map(({ path, remote, verified }) => [path, [remote, verified]]))).toEqual(
      new Map([
        ['w/config.json', ['hf://acme/tiny', true]],
        ['w/tiny.gguf', ['hf://acme/tiny', false]],
      ]),
    );
    expect(read.bytes).toBeLessThan(300 * 1024);
    expect(hub.requests.filter(({ path }) => path.includes('tiny.gguf')).some(({ range }) => range !== undefined)).toBe(true);
  });

  test('unasked a model that stays elsewhere as a whole is an error with the flag', async () => {
    const { packAs, remoteKit, hub } = await setup();
    await packAs('v1', weights('tiny'));
    await expect(inspectTensors(remoteKit, parseLocation('m:v1'), 'local')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: 'the model of m:v1 stays at hf://acme/tiny: no header of it is in the ModelKit',
      hint: '`--include-remote` reads the headers there',
    });
    expect(hub.requests).toEqual([]);
  });

  test('a small file that was tampered with is refused', async () => {
    const { packAs, remoteKit, hub } = await setup();
    await packAs('v1', weights('tiny'));
    hub.behaviour.tamper = (path, content) => (path.endsWith('config.json') ? Buffer.alloc(content.byteLength, 'x') : content);
    const looked = inspectTensors(remoteKit, parseLocation('m:v1'), 'local', {}, { includeRemote: true });
    await expect(looked).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('of two versions elsewhere are compared', async () => {
    const { packAs, remoteKit } = await setup();
    await packAs('v1', weights('tiny'));
    await packAs('v2', weights('next'));
    const result = await diffTensors(remoteKit, { a: side('v1'), b: side('v2'), includeRemote: true });
    expect(result).toMatchObject({ changed: [{ a: { name: 'w', dtype: 'Q4_0' }, b: { name: 'w', dtype: 'Q8_0' } }] });
    expect(await diffTensors(remoteKit, { a: side('v1'), b: side('v1'), includeRemote: true })).toMatchObject({
      identical: 1,
      undecided: [],
    });
  });
});
