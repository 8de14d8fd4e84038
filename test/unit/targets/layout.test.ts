import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { type Layout, openLayout } from '../../../src/targets/layout.ts';
import { pushIndex, pushSample } from './sample.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures/golden');
const REF_NAME = 'org.opencontainers.image.ref.name';
let directory: string;
let layout: Layout;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ocikit-layout-'));
  layout = await openLayout(directory, { create: true });
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

function tagged(manifest: Descriptor): Descriptor {
  return { ...manifest, annotations: { [REF_NAME]: 'v1' } };
}

async function indexText(): Promise<string> {
  return await readFile(join(directory, 'index.json'), 'utf8');
}

test('nothing is made before something is written', async () => {
  const place = join(directory, 'new');
  const fresh = await openLayout(place, { create: true });
  expect(await fresh.entries()).toEqual([]);
  await expect(fresh.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  const missing = { mediaType: 'a', digest: `sha256:${'a'.repeat(64)}`, size: 1 } as const;
  expect(await fresh.has(missing)).toBe(false);
  expect(await readdir(directory)).toEqual([]);
  // two that were opened before it was there: neither takes from the other
  const other = await openLayout(place, { create: true });
  const [a, b] = await Promise.all([pushSample(fresh, 'a'), pushSample(other, 'b')]);
  expect(new Set((await other.entries()).map(({ digest }) => digest))).toEqual(new Set([a.manifest.digest, b.manifest.digest]));
});

test('a new layout has the files of the specification', async () => {
  await layout.make();
  expect((await readdir(directory)).toSorted()).toEqual(['blobs', 'index.json', 'oci-layout']);
  expect(await readFile(join(directory, 'oci-layout'), 'utf8')).toBe('{"imageLayoutVersion":"1.0.0"}');
  expect(await indexText()).toBe('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}');
});

test.each([
  ['nothing', 'missing', false, 'PATH_NOT_FOUND'],
  ['an empty directory', 'empty', false, 'STORE_INVALID'],
  ['a directory of something else', 'full', false, 'STORE_INVALID'],
  ['a directory of something else, even to make one', 'full', true, 'STORE_INVALID'],
  ['a file', 'full/x', false, 'STORE_INVALID'],
])('%s is no layout', async (_, name, create, code) => {
  await mkdir(join(directory, 'empty'));
  await mkdir(join(directory, 'full'));
  await writeFile(join(directory, 'full', 'x'), 'x');
  await expect(openLayout(join(directory, name), { create })).rejects.toMatchObject({ code });
  expect(await readdir(join(directory, 'full'))).toEqual(['x']);
});

test.each(['', '{}', '{"imageLayoutVersion":"9"}', 'x'])('the marker %j is refused', async (marker) => {
  await writeFile(join(directory, 'oci-layout'), marker);
  await expect(openLayout(directory)).rejects.toMatchObject({
    code: 'STORE_INVALID',
    message: expect.stringContaining('oci-layout') as string,
  });
});

test.each([
  ['no JSON', 'x'],
  ['a digest that leaves the directory', '{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:../../x","size":1}]}'],
  ['a negative size', `{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:${'a'.repeat(64)}","size":-1}]}`],
  ['another schema', '{"schemaVersion":1,"manifests":[]}'],
  ['an image manifest', '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}'],
])('an index.json with %s is refused and stays', async (_, text) => {
  await layout.make();
  await writeFile(join(directory, 'index.json'), text);
  await expect(layout.resolve('v1')).rejects.toMatchObject({
    code: 'STORE_INVALID',
    message: expect.stringContaining('index.json') as string,
  });
  await expect(pushSample(layout, 'a')).rejects.toMatchObject({ code: 'STORE_INVALID' });
  expect(await indexText()).toBe(text);
});

test('a missing index.json is named', async () => {
  await layout.make();
  await rm(join(directory, 'index.json'));
  await expect(layout.resolve('v1')).rejects.toMatchObject({
    code: 'STORE_INVALID',
    message: expect.stringContaining('missing') as string,
  });
});

test('what others wrote into index.json stays when it is rewritten', async () => {
  const { manifest } = await pushSample(layout, 'a');
  const entry = {
    ...manifest,
    annotations: { [REF_NAME]: 'v1', 'io.other': 'x' },
    platform: { os: 'linux', architecture: 'amd64' },
    future: [1],
  };
  await writeFile(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [entry], annotations: { a: 'b' }, more: true }),
  );
  await layout.tag(manifest, 'v2');
  expect(JSON.parse(await indexText())).toEqual({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [entry, { ...entry, annotations: { ...entry.annotations, [REF_NAME]: 'v2' } }],
    annotations: { a: 'b' },
    more: true,
  });
});

test('a tag that is moved away leaves its manifest listed without it', async () => {
  const [a, b] = [await pushSample(layout, 'a'), await pushSample(layout, 'b')];
  await layout.tag(a.manifest, 'v1');
  await layout.tag(b.manifest, 'v1');
  expect(await layout.entries()).toEqual([a.manifest, { ...b.manifest, annotations: { [REF_NAME]: 'v1' } }]);
});

test('a tag that stands there twice means the last, and is one after the next change', async () => {
  const [a, b] = [await pushSample(layout, 'a'), await pushSample(layout, 'b')];
  await writeFile(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [tagged(a.manifest), tagged(b.manifest), tagged(b.manifest)] }),
  );
  expect((await layout.resolve('v1')).digest).toBe(b.manifest.digest);
  await layout.tag(a.manifest, 'v1');
  expect((await layout.entries()).map(({ digest, annotations }) => [digest, annotations?.[REF_NAME]])).toEqual([
    [a.manifest.digest, 'v1'],
    [b.manifest.digest, undefined],
  ]);
});

test('a manifest whose content or size differs from its entry is refused when read', async () => {
  const { manifest } = await pushSample(layout, 'a');
  await writeFile(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, size: manifest.size + 1 }] }),
  );
  await expect(layout.fetch(await layout.resolve(manifest.digest))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  await writeFile(join(directory, 'blobs/sha256', digestHex(manifest.digest)), 'x'.repeat(manifest.size));
  await expect(layout.fetch(manifest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});

test('the only artifact needs no tag; of several one must be named', async () => {
  await expect(layout.resolveOnly()).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  const { manifest } = await pushSample(layout, 'a');
  await layout.tag(manifest, 'v1');
  await layout.tag(manifest, 'v2');
  expect(await layout.resolveOnly()).toEqual(manifest);
  await pushSample(layout, 'b');
  await expect(layout.resolveOnly()).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND', hint: 'its tags are `v1`, `v2`' });
});

test('a digest that index.json does not list resolves when it is a manifest', async () => {
  const [a, b] = [await pushSample(layout, 'a'), await pushSample(layout, 'b')];
  const index = await pushIndex(layout, [a.manifest]);
  expect((await layout.entries()).map(({ digest }) => digest)).toEqual([b.manifest.digest, index.digest]);
  expect(await layout.resolve(a.manifest.digest)).toEqual(a.manifest);
  for (const blob of [a.config, ...a.layers])
    await expect(layout.resolve(blob.digest)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  await writeFile(join(directory, 'blobs/sha256', digestHex(a.manifest.digest)), a.bytes.toString().replace('"a"', '"b"') + ' ');
  await expect(layout.resolve(a.manifest.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});

test('removing a manifest keeps it where an index has it', async () => {
  const a = await pushSample(layout, 'a');
  await pushIndex(layout, [a.manifest]);
  await layout.tag(a.manifest, 'v1');
  await layout.can.remove?.(a.manifest);
  await expect(layout.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  expect(await layout.resolve(a.manifest.digest)).toEqual(a.manifest);
});

test('layouts that other tools made can be read and added to', async () => {
  for (const name of ['kit-modelkit-gzip', 'modelcar', 'omlmd', 'cosign-legacy', 'oras-attach-sbom']) {
    const copy = join(directory, 'copy', name);
    await cp(join(fixtures, name), copy, { recursive: true });
    const other = await openLayout(copy);
    const before = await other.entries();
    const found = await other.resolve('v1');
    expect(await other.has(found)).toBe(true);
    await other.tag(found, 'again');
    expect((await other.entries()).length).toBe(before.length + 1);
    expect((await readdir(copy)).filter((file) => file.includes('verified') || file.includes('lock'))).toEqual([]);
  }
});

test('tags put on by several openers at the same time are all there', async () => {
  const { manifest } = await pushSample(layout, 'a');
  const openers = await Promise.all(Array.from({ length: 10 }, async () => await openLayout(directory)));
  await Promise.all(
    openers.map(async (opener, index) => {
      await opener.tag(manifest, `t${index}`);
    }),
  );
  expect((await layout.entries()).length).toBe(10);
});

test('a sha512 digest', async () => {
  const bytes = Buffer.from('long digest');
  const { createHash } = await import('node:crypto');
  const blob: Descriptor = { ...describe('text/plain', bytes), digest: `sha512:${createHash('sha512').update(bytes).digest('hex')}` };
  await layout.push(blob, bytesSource(bytes));
  expect(await layout.has(blob)).toBe(true);
  expect(await readFile(join(directory, 'blobs/sha512', digestHex(blob.digest)), 'utf8')).toBe('long digest');
});
