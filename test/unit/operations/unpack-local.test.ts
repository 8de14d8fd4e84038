import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { link, stat } from 'node:fs/promises';
import { expect, onTestFinished, test, type TestContext } from 'vitest';
import { Staging } from '../../../src/blobs/staging.ts';
import { bytesSource } from '../../../src/blob-source.ts';
import type { ArtifactLayer } from '../../../src/formats/types.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { type UnpackJob, unpackLayer } from '../../../src/operations/unpack/layer.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import type { ReadTarget } from '../../../src/targets/types.ts';
import { type Workspace, workspace } from './sandbox.ts';

const CONTENT = Buffer.alloc(300_000, 'weights');
const BLOB = describe('application/octet-stream', CONTENT);
const LAYER: ArtifactLayer = {
  role: 'model',
  name: 'weights',
  path: 'w.bin',
  descriptor: BLOB,
  diffId: BLOB.digest,
  encoding: 'raw',
  compression: 'none',
  target: 'w.bin',
  mode: 0o640,
};

interface Local {
  readonly space: Workspace;
  readonly target: ReadTarget;
  /** The file of the blob. */
  readonly blob: string;
  /** Fetches so far. */
  readonly fetched: Descriptor[];
}

/** A layout with one raw layer, whose target notes what is streamed from it and may offer more. */
async function layout(parent?: string, can: object = {}): Promise<Local> {
  const space = workspace(parent);
  const inner = await openLayout(space.path('layout'), { create: true });
  await inner.push(BLOB, bytesSource(CONTENT));
  const blob = inner.can.localPath?.(BLOB) as string;
  const fetched: Descriptor[] = [];
  const target: ReadTarget = {
    name: inner.name,
    can: { ...inner.can, ...can },
    has: async (...args) => await inner.has(...args),
    resolve: async (reference) => await inner.resolve(reference),
    fetch: async (descriptor, options) => {
      fetched.push(descriptor);
      return await inner.fetch(descriptor, options);
    },
  };
  return { space, target, blob, fetched };
}

async function unpacking(
  { space, target }: Local,
  change: { layer?: Partial<ArtifactLayer>; job?: Partial<UnpackJob> } = {},
): Promise<UnpackJob> {
  const staging = new Staging(space.path('out'), 'fail');
  onTestFinished(async () => await staging.discard());
  const job: UnpackJob = {
    staging,
    link: false,
    bytesLeft: 1e9,
    linked: [],
    parts: () => 'never',
    seen: () => {},
    unverified: [],
    ...change.job,
  };
  const source = { target, reference: 'v1', name: 'm:v1', isLocal: true };
  await unpackLayer({ source, layer: { ...LAYER, ...change.layer } }, job, space.call);
  staging.commit();
  return job;
}

const bytesIn = ({ space }: Local): number => space.events.reduce((sum, event) => sum + (event.type === 'bytes' ? event.delta : 0), 0);

function reflinkParent(context: TestContext): string {
  return process.env['KIT_TEST_REFLINK_DIR'] ?? context.skip('KIT_TEST_REFLINK_DIR names no directory on a file system with reflinks');
}

const linking = {
  link: async (_blob: Descriptor, to: string): Promise<() => Promise<void>> => {
    await link(current.blob, to);
    return async () => await Promise.resolve();
  },
};
let current: Local;

test('with links, the file is the blob', async () => {
  current = await layout(undefined, linking);
  const job = await unpacking(current, { job: { link: true } });
  expect(statSync(current.space.path('out/w.bin')).ino).toBe(statSync(current.blob).ino);
  expect(job.linked).toHaveLength(1);
  expect(current.fetched).toEqual([]);
  expect(bytesIn(current)).toBe(CONTENT.length);
});

test('links are made only when asked for, and not of programs', async () => {
  current = await layout(undefined, linking);
  for (const change of [{}, { job: { link: true }, layer: { mode: 0o755, target: 'bin' } }]) {
    const job = await unpacking(current, change);
    expect(job.linked).toEqual([]);
  }
  expect(statSync(current.blob).nlink).toBe(1);
  expect(statSync(current.space.path('out/bin')).mode & 0o777).toBe(0o755);
});

test('where no link can be made the file is a copy with its mode', async () => {
  const local = await layout(undefined, { link: async () => await Promise.resolve(undefined) });
  await unpacking(local, { job: { link: true } });
  expect(readFileSync(local.space.path('out/w.bin'))).toEqual(CONTENT);
  expect(statSync(local.space.path('out/w.bin')).mode & 0o777).toBe(0o640);
  expect(statSync(local.blob).nlink).toBe(1);
});

test('the limit counts what is linked', async () => {
  current = await layout(undefined, linking);
  await expect(unpacking(current, { job: { link: true, bytesLeft: CONTENT.length - 1 } })).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED',
  });
});

test('a damaged blob is never unpacked', async () => {
  const local = await layout();
  writeFileSync(local.blob, Buffer.alloc(CONTENT.length, 'damaged'));
  await expect(unpacking(local)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});

test('a clone of a verified blob is not read', async (context) => {
  const local = await layout(reflinkParent(context), { localFile: async () => await Promise.resolve(current.blob) });
  current = local;
  await unpacking(local);
  expect(local.fetched).toEqual([]);
  expect(bytesIn(local)).toBe(CONTENT.length);
  expect(readFileSync(local.space.path('out/w.bin'))).toEqual(CONTENT);
  expect(statSync(local.space.path('out/w.bin')).mode & 0o777).toBe(0o640);
  expect((await stat(local.blob)).nlink).toBe(1);
});

test('a clone of a blob that is not verified, or changed meanwhile, is hashed', async (context) => {
  const parent = reflinkParent(context);
  const damage = async (): Promise<string> => {
    writeFileSync(current.blob, Buffer.alloc(CONTENT.length, 'damaged'));
    return await Promise.resolve(current.blob);
  };
  for (const localFile of [undefined, async () => await Promise.resolve(undefined)]) {
    current = await layout(parent, localFile && { localFile });
    await unpacking(current);
    expect(current.fetched).toEqual([]);
    expect(bytesIn(current)).toBe(CONTENT.length);
    await damage();
    await expect(unpacking(current, { layer: { target: 'again' } })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    writeFileSync(current.blob, 'short');
    await expect(unpacking(current, { layer: { target: 'again' } })).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  }
  // damaged after it was cloned: the clone is sound, but nothing says so until it is hashed
  current = await layout(parent, { localFile: damage });
  await unpacking(current);
  expect(readFileSync(current.space.path('out/w.bin'))).toEqual(CONTENT);
});

test('a clone of a damaged blob is found out, though the blob was repaired a moment later', async (context) => {
  const repair = async (): Promise<string> => {
    const { ctimeNs } = statSync(current.blob, { bigint: true });
    do writeFileSync(current.blob, CONTENT);
    while (statSync(current.blob, { bigint: true }).ctimeNs === ctimeNs);
    return await Promise.resolve(current.blob);
  };
  current = await layout(reflinkParent(context), { localFile: repair });
  writeFileSync(current.blob, Buffer.alloc(CONTENT.length, 'damaged'));
  await expect(unpacking(current)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});
