import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { type BlobSource, type Bytes, bytesSource } from '../../src/blob-source.ts';
import { type ErrorCode, KitError } from '../../src/errors.ts';
import { type Descriptor, describe } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';
import type { Target } from '../../src/targets/types.ts';

/** A target made for one test, and what takes it away again. */
export interface TargetUnderTest {
  readonly target: Target;
  cleanup(): Promise<void>;
}

const OCTETS = 'application/octet-stream';
const TEXT = Buffer.from('the quick brown fox jumps over the lazy dog\n'.repeat(50));

/** The rules that every target keeps, whatever is behind it. `make` gives an empty one. */
export function describeTarget(name: string, make: () => Promise<TargetUnderTest>): void {
  suite(`${name} as a target`, () => {
    let made: TargetUnderTest;
    let target: Target;
    beforeEach(async () => {
      made = await make();
      ({ target } = made);
    });
    afterEach(async () => {
      await made.cleanup();
    });

    async function pushBytes(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
      const blob = describe(mediaType, bytes);
      await target.push(blob, bytesSource(bytes));
      return blob;
    }

    /** A manifest with one layer, whose bytes no serializer would write. */
    async function pushManifest(layer: Uint8Array = TEXT): Promise<{ manifest: Descriptor; bytes: Buffer }> {
      const config = await pushBytes(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
      const layerBlob = await pushBytes(OCTETS, layer);
      const bytes = Buffer.from(
        ` {\n\t"schemaVersion": 2, "config":${JSON.stringify(config)},"mediaType":"${MEDIA_TYPE.imageManifest}",\n"layers": [ ${JSON.stringify(layerBlob)}], "annotations":{"n":"\\u00fc"}}\n`,
      );
      const manifest = await pushBytes(MEDIA_TYPE.imageManifest, bytes);
      return { manifest, bytes };
    }

    test('a blob that was pushed is there and comes back', async () => {
      const blob = describe(OCTETS, TEXT);
      expect(await target.has(blob)).toBe(false);
      await target.push(blob, bytesSource(TEXT));
      expect(await target.has(blob)).toBe(true);
      expect(await collect(await target.fetch(blob))).toEqual(TEXT);
    });

    test('the empty blob', async () => {
      const blob = await pushBytes(OCTETS, Buffer.alloc(0));
      expect(await target.has(blob)).toBe(true);
      expect((await collect(await target.fetch(blob))).byteLength).toBe(0);
    });

    test('a blob of several chunks', async () => {
      const bytes = Buffer.alloc(2_500_000);
      for (let index = 0; index < bytes.length; index += 1) bytes[index] = (index * 7) % 251;
      const blob = describe(OCTETS, bytes);
      await target.push(blob, chunkedSource(bytes, 70_001));
      expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
    });

    test.each([
      ['the start', 0, 10],
      ['the middle', 100, 1001],
      ['the end', TEXT.length - 5, TEXT.length],
      ['one byte', 7, 8],
    ])('a range: %s', async (_, start, end) => {
      const blob = await pushBytes(OCTETS, TEXT);
      expect(await collect(await target.fetch(blob, { range: { start, end } }))).toEqual(TEXT.subarray(start, end));
    });

    test('chunks belong to the receiver', async () => {
      const blob = await pushBytes(OCTETS, TEXT);
      for await (const chunk of await target.fetch(blob)) chunk.fill(0);
      expect(await collect(await target.fetch(blob))).toEqual(TEXT);
    });

    test('a second push changes nothing', async () => {
      const blob = await pushBytes(OCTETS, TEXT);
      await target.push(blob, bytesSource(TEXT));
      expect(await collect(await target.fetch(blob))).toEqual(TEXT);
    });

    test('pushes of one blob at the same time', async () => {
      const blob = describe(OCTETS, TEXT);
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          await target.push(blob, chunkedSource(TEXT, 100));
        }),
      );
      expect(await collect(await target.fetch(blob))).toEqual(TEXT);
    });

    test('content with another digest is refused and leaves nothing', async () => {
      const blob: Descriptor = { mediaType: OCTETS, digest: digestOf(TEXT), size: TEXT.length };
      const other = Buffer.from(TEXT);
      other[3] = 0;
      await expectCode(target.push(blob, bytesSource(other)), 'DIGEST_MISMATCH');
      expect(await target.has(blob)).toBe(false);
      await target.push(blob, bytesSource(TEXT));
      expect(await target.has(blob)).toBe(true);
    });

    test.each([
      ['too few', TEXT.length + 1],
      ['too many', TEXT.length - 1],
    ])('%s bytes are refused and leave nothing', async (_, size) => {
      const blob: Descriptor = { mediaType: OCTETS, digest: digestOf(TEXT), size };
      await expectCode(target.push(blob, bytesSource(TEXT)), 'SIZE_MISMATCH');
      expect(await target.has(blob)).toBe(false);
      expect(await target.has({ ...blob, size: TEXT.length })).toBe(false);
    });

    test('an error of the source comes through and leaves nothing', async () => {
      const blob = describe(OCTETS, TEXT);
      const broken: BlobSource = {
        size: TEXT.length,
        async *open() {
          yield TEXT.subarray(0, 10);
          throw await Promise.resolve(new Error('the source broke'));
        },
      };
      await expect(target.push(blob, broken)).rejects.toThrow('the source broke');
      expect(await target.has(blob)).toBe(false);
      await target.push(blob, bytesSource(TEXT));
      expect(await collect(await target.fetch(blob))).toEqual(TEXT);
    });

    test('a push that is aborted leaves nothing', async () => {
      const blob = describe(OCTETS, TEXT);
      const abort = new AbortController();
      const source: BlobSource = {
        size: TEXT.length,
        async *open() {
          yield TEXT.subarray(0, 10);
          await Promise.resolve();
          abort.abort(new Error('stopped'));
          yield TEXT.subarray(10);
        },
      };
      await expect(target.push(blob, source, { signal: abort.signal })).rejects.toBeInstanceOf(Error);
      expect(await target.has(blob)).toBe(false);
    });

    test('what was never pushed cannot be fetched', async () => {
      const blob = describe(OCTETS, Buffer.from('missing'));
      await expectCode(target.fetch(blob).then(collect), 'BLOB_NOT_FOUND');
      const manifest = describe(MEDIA_TYPE.imageManifest, Buffer.from('{"missing":1}'));
      await expectCode(target.fetch(manifest).then(collect), 'BLOB_NOT_FOUND');
      expect(await target.has(manifest)).toBe(false);
    });

    test('a manifest keeps its bytes', async () => {
      const { manifest, bytes } = await pushManifest();
      expect(await target.has(manifest)).toBe(true);
      expect(await collect(await target.fetch(manifest))).toEqual(bytes);
      expect(await target.resolve(manifest.digest)).toMatchObject(manifest);
    });

    test('a tag leads to its manifest', async () => {
      const { manifest } = await pushManifest();
      await target.tag(manifest, 'v1');
      await target.tag(manifest, 'latest');
      expect(await target.resolve('v1')).toMatchObject(manifest);
      expect(await target.resolve('latest')).toMatchObject(manifest);
    });

    test('a tag that is moved leaves the old manifest there', async () => {
      const first = await pushManifest();
      const second = await pushManifest(Buffer.from('another'));
      await target.tag(first.manifest, 'v1');
      await target.tag(second.manifest, 'v1');
      expect((await target.resolve('v1')).digest).toBe(second.manifest.digest);
      expect((await target.resolve(first.manifest.digest)).digest).toBe(first.manifest.digest);
      expect(await collect(await target.fetch(first.manifest))).toEqual(first.bytes);
    });

    test('tags put on at the same time are all there', async () => {
      const { manifest } = await pushManifest();
      const tags = Array.from({ length: 12 }, (_, index) => `t${index}`);
      await Promise.all(
        tags.map(async (tag) => {
          await target.tag(manifest, tag);
        }),
      );
      for (const tag of tags) expect((await target.resolve(tag)).digest).toBe(manifest.digest);
    });

    test('an unknown reference is not found', async () => {
      expect.assertions(4);
      await pushManifest();
      await expectCode(target.resolve('nope'), 'REFERENCE_NOT_FOUND');
      await expectCode(target.resolve(digestOf(Buffer.from('nope'))), 'REFERENCE_NOT_FOUND');
    });

    test('only what is there can be tagged', async () => {
      expect.assertions(4);
      const missing = describe(MEDIA_TYPE.imageManifest, Buffer.from('{"missing":2}'));
      await expectCode(target.tag(missing, 'v1'), 'REFERENCE_NOT_FOUND');
      await expectCode(target.resolve('v1'), 'REFERENCE_NOT_FOUND');
    });

    test('an index and its manifests', async () => {
      const { manifest } = await pushManifest();
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [manifest] }));
      const index = await pushBytes(MEDIA_TYPE.imageIndex, bytes);
      await target.tag(index, 'multi');
      expect(await target.resolve('multi')).toMatchObject(index);
      expect(await collect(await target.fetch(index))).toEqual(bytes);
      expect((await target.resolve(manifest.digest)).digest).toBe(manifest.digest);
    });

    capabilities(() => target, pushManifest);
  });
}

/** What `can` lists works; what it lacks is not tested here: it is absent, so nobody can call it. */
function capabilities(targetOf: () => Target, pushManifest: (layer?: Uint8Array) => Promise<{ manifest: Descriptor }>): void {
  test('can.pushUnhashed learns the digest', async (context) => {
    const target = targetOf();
    const push = target.can.pushUnhashed ?? context.skip();
    const blob = await push(OCTETS, { ...chunkedSource(TEXT, 999), size: undefined });
    expect(blob).toEqual(describe(OCTETS, TEXT));
    expect(await target.has(blob)).toBe(true);
    expect(await push(OCTETS, chunkedSource(TEXT, 999))).toEqual(blob);
    expect(await collect(await target.fetch(blob))).toEqual(TEXT);
  });

  test('can.tags lists each tag once', async (context) => {
    const target = targetOf();
    const tags = target.can.tags ?? context.skip();
    const { manifest } = await pushManifest();
    expect(await Array.fromAsync(tags())).toEqual([]);
    for (const tag of ['v1', 'v2', 'v1']) await target.tag(manifest, tag);
    expect((await Array.fromAsync(tags())).toSorted()).toEqual(['v1', 'v2']);
  });

  test('can.referrers lists the manifests that name the subject', async (context) => {
    const target = targetOf();
    const referrers = target.can.referrers ?? context.skip();
    const { manifest: subject } = await pushManifest();
    const { manifest: other } = await pushManifest(Buffer.from('another'));
    expect(await Array.fromAsync(referrers(subject))).toEqual([]);
    const config = describe(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
    const refer = async (mediaType: string, fields: object): Promise<Descriptor> => {
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }));
      await target.push(describe(mediaType, bytes), bytesSource(bytes));
      return describe(mediaType, bytes);
    };
    const annotations = { by: 'me' };
    const typed = await refer(MEDIA_TYPE.imageManifest, { artifactType: 'application/x.test', config, layers: [], subject, annotations });
    const untyped = await refer(MEDIA_TYPE.imageManifest, { config, layers: [], subject });
    const list = await refer(MEDIA_TYPE.imageIndex, { artifactType: 'application/x.list', manifests: [], subject });
    await refer(MEDIA_TYPE.imageManifest, { config, layers: [], subject: other });
    // one that an index names as well
    await refer(MEDIA_TYPE.imageIndex, { manifests: [untyped] });
    await target.tag(typed, 'typed');
    const found = await Array.fromAsync(referrers(subject));
    expect(found.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))).toEqual(
      [
        { ...typed, artifactType: 'application/x.test', annotations },
        { ...untyped, artifactType: MEDIA_TYPE.emptyJson },
        { ...list, artifactType: 'application/x.list' },
      ].toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
    );
  });

  test('can.untag takes one tag and leaves the manifest', async (context) => {
    const target = targetOf();
    const untag = target.can.untag ?? context.skip();
    const { manifest } = await pushManifest();
    for (const tag of ['v1', 'v2']) await target.tag(manifest, tag);
    await untag('v1');
    await expectCode(target.resolve('v1'), 'REFERENCE_NOT_FOUND');
    expect((await target.resolve('v2')).digest).toBe(manifest.digest);
    await untag('v2');
    expect((await target.resolve(manifest.digest)).digest).toBe(manifest.digest);
    await expectCode(untag('v2'), 'REFERENCE_NOT_FOUND');
  });

  test('can.remove takes a manifest and its tags', async (context) => {
    const target = targetOf();
    const remove = target.can.remove ?? context.skip();
    const { manifest } = await pushManifest();
    for (const tag of ['v1', 'v2']) await target.tag(manifest, tag);
    await remove(manifest);
    for (const reference of ['v1', 'v2', manifest.digest]) await expectCode(target.resolve(reference), 'REFERENCE_NOT_FOUND');
    await expectCode(remove(manifest), 'REFERENCE_NOT_FOUND');
    // it can come back
    const again = await pushManifest();
    await target.tag(again.manifest, 'v1');
    expect((await target.resolve('v1')).digest).toBe(manifest.digest);
  });

  test('can.localPath names a file with the content', async (context) => {
    const target = targetOf();
    const localPath = target.can.localPath ?? context.skip();
    const { readFile } = await import('node:fs/promises');
    const blob = describe(OCTETS, TEXT);
    expect(localPath(blob)).toBeUndefined();
    await target.push(blob, bytesSource(TEXT));
    expect(await readFile(localPath(blob) ?? '')).toEqual(TEXT);
  });
}

async function collect(bytes: Bytes): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(bytes));
}

/** Serves `bytes` in chunks of `length`, from any start, as a network does. */
function chunkedSource(bytes: Buffer, length: number): BlobSource {
  return {
    size: bytes.length,
    async *open(range) {
      for (let at = range?.start ?? 0; at < (range?.end ?? bytes.length); at += length) {
        await Promise.resolve();
        yield bytes.subarray(at, Math.min(at + length, range?.end ?? bytes.length));
      }
    },
  };
}

async function expectCode(work: Promise<unknown>, ...codes: ErrorCode[]): Promise<void> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, `an error with code ${codes.join(' or ')}`).toBeInstanceOf(KitError);
  expect(codes).toContain((error as KitError).code);
}
