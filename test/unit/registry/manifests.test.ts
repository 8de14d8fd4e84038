import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MAX_METADATA_BYTES, MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { addEmptyManifest, collect, connect, emptyManifest, randomBlob } from '../../support/registry-client.ts';

describe('resolving', () => {
  test('a tag or digest takes one HEAD', async () => {
    const { target, registry } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    expect(await target.resolve('v1')).toEqual(blob);
    expect(await target.resolve(blob.digest)).toEqual(blob);
    expect(registry.log()).toEqual(['HEAD /v2/team/model/manifests/v1 -> 200', 'HEAD /v2/team/model/manifests/DIGEST -> 200']);
    expect(registry.requests[0]?.headers.accept).toBe(
      [MEDIA_TYPE.imageManifest, MEDIA_TYPE.imageIndex, MEDIA_TYPE.dockerManifest, MEDIA_TYPE.dockerManifestList].join(', '),
    );
  });

  test.each([{ digestHeader: false }, { headManifests: false }, { contentType: 'application/json; charset=utf-8' }, { contentType: '' }])(
    'goes on with GET where the registry has %o',
    async (behaviour) => {
      const { target, registry } = await connect({ behaviour });
      const { blob } = await addEmptyManifest(registry, 'v1');
      expect(await target.resolve('v1')).toEqual(blob);
      expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET']);
    },
  );

  test('a media type is taken without its parameters', async () => {
    const { target, registry } = await connect({ behaviour: { contentType: `${MEDIA_TYPE.imageIndex.toUpperCase()}; charset=utf-8` } });
    await addEmptyManifest(registry, 'v1');
    expect((await target.resolve('v1')).mediaType).toBe(MEDIA_TYPE.imageIndex);
  });

  test('what is missing is told with what the registry says', async () => {
    const { target, registry } = await connect();
    await expect(target.resolve('v1')).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringMatching(/team\/model:v1: the repository does not exist in the registry \(GET .*: 404 NAME_UNKNOWN/) as unknown,
    });
    await addEmptyManifest(registry, 'v1');
    await expect(target.resolve('v2')).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringMatching(/team\/model:v2: not found in the registry \(GET .*: 404 MANIFEST_UNKNOWN/) as unknown,
    });
  });

  test.each(['', '../../x', 'a/b', 'v1?x', `v${'1'.repeat(200)}`, 'sha256:abc'])('`%s` never becomes a request', async (reference) => {
    const { target, registry } = await connect();
    await expect(target.resolve(reference)).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
    expect(registry.requests).toEqual([]);
  });
});

describe('fetching', () => {
  test('gives the bytes as they are', async () => {
    const { target, registry } = await connect();
    const bytes = Buffer.from(`${emptyManifest({ ключ: 'значение' }).toString()}\n`);
    const blob = registry.addManifest('team/model', bytes, 'v1');
    expect(await target.has(blob)).toBe(true);
    expect(await collect(await target.fetch(await target.resolve('v1')))).toEqual(bytes);
  });

  test('a wrong Docker-Content-Digest is noticed', async () => {
    const { target, registry } = await connect({ behaviour: { wrongDigestHeader: true } });
    const { blob } = await addEmptyManifest(registry, 'v1');
    await expect(target.resolve(blob.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(target.fetch(blob)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    // by tag, HEAD has nothing to hold it against: what is asked for next does not exist
    await expect(target.resolve('v1').then((resolved) => target.fetch(resolved))).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
  });

  test('changed content is noticed without the header too', async () => {
    const { target, registry } = await connect({ behaviour: { digestHeader: false } });
    const { blob } = await addEmptyManifest(registry, 'v1');
    registry.storage
      .repository('team/model')
      .manifests.set(blob.digest, { mediaType: blob.mediaType, bytes: emptyManifest({ evil: 'yes' }) });
    await expect(target.fetch(blob)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(target.resolve(blob.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('sha512 is verified as such', async () => {
    const { target, registry } = await connect();
    const bytes = emptyManifest();
    const digest = digestOf(bytes, 'sha512');
    registry.storage.repository('team/model').manifests.set(digest, { mediaType: MEDIA_TYPE.imageManifest, bytes });
    const blob = await target.resolve(digest);
    expect(blob.digest).toBe(digest);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('an endless manifest is cut at 4 MiB', async () => {
    const { target, registry } = await connect({ behaviour: { headManifests: false } });
    registry.addManifest('team/model', Buffer.alloc(MAX_METADATA_BYTES + 1, 0x20), 'v1');
    await expect(target.resolve('v1')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    registry.behaviour.headManifests = true;
    await expect(target.resolve('v1')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  test('a body without type that is no manifest is refused', async () => {
    const { target, registry } = await connect({ behaviour: { contentType: '' } });
    registry.addManifest('team/model', Buffer.from('<html>'), 'v1');
    await expect(target.resolve('v1')).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  });
});

describe('pushing', () => {
  test('by digest, then by each tag, without fetching it again', async () => {
    const { target, registry } = await connect();
    await registry.addBlob('team/model', Buffer.from('{}'));
    const bytes = emptyManifest();
    const manifest = { mediaType: MEDIA_TYPE.imageManifest, digest: digestOf(bytes), size: bytes.byteLength };
    await target.push(manifest, bytesSource(bytes));
    await target.tag(manifest, 'v1');
    await target.tag(manifest, 'v2');
    expect(registry.log()).toEqual([
      'PUT /v2/team/model/manifests/DIGEST -> 201',
      'PUT /v2/team/model/manifests/v1 -> 201',
      'PUT /v2/team/model/manifests/v2 -> 201',
    ]);
    expect(registry.requests[0]?.headers['content-type']).toBe(MEDIA_TYPE.imageManifest);
    expect((await target.resolve('v2')).digest).toBe(manifest.digest);
  });

  test('wrong bytes never reach the registry', async () => {
    const { target, registry } = await connect();
    const { blob } = randomBlob(10);
    const manifest = { ...blob, mediaType: MEDIA_TYPE.imageManifest };
    await expect(target.push(manifest, bytesSource(Buffer.alloc(10)))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(target.push(manifest, bytesSource(Buffer.alloc(9)))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(registry.requests).toEqual([]);
  });

  test('a tag on what another run has pushed fetches it', async () => {
    const { target, registry } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    await target.tag(blob, 'v2');
    expect(registry.log()).toEqual([
      // the tag may be right already
      'HEAD /v2/team/model/manifests/v2 -> 404',
      'GET /v2/team/model/manifests/v2 -> 404',
      'GET /v2/team/model/manifests/DIGEST -> 200',
      'PUT /v2/team/model/manifests/v2 -> 201',
    ]);
    await target.tag(blob, 'v2');
    expect(registry.log().slice(4)).toEqual(['HEAD /v2/team/model/manifests/v2 -> 200']);
  });

  test('a registry that stores something else is noticed', async () => {
    const { target, registry } = await connect({ behaviour: { wrongDigestHeader: true } });
    await registry.addBlob('team/model', Buffer.from('{}'));
    const bytes = emptyManifest();
    const manifest = { mediaType: MEDIA_TYPE.imageManifest, digest: digestOf(bytes), size: bytes.byteLength };
    await expect(target.push(manifest, bytesSource(bytes))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('a missing layer is named', async () => {
    const { target } = await connect();
    const bytes = emptyManifest();
    const manifest = { mediaType: MEDIA_TYPE.imageManifest, digest: digestOf(bytes), size: bytes.byteLength };
    await expect(target.push(manifest, bytesSource(bytes))).rejects.toMatchObject({
      code: 'BLOB_NOT_FOUND',
      message: expect.stringContaining('MANIFEST_BLOB_UNKNOWN') as unknown,
    });
  });

  test("a refused manifest shows the registry's words", async () => {
    const { target, registry } = await connect();
    const bytes = emptyManifest();
    const manifest = { mediaType: MEDIA_TYPE.imageManifest, digest: digestOf(bytes), size: bytes.byteLength };
    const body = JSON.stringify({ errors: [{ code: 'MANIFEST_INVALID', message: 'artifact type not allowed', detail: { a: 1 } }] });
    registry.behaviour.faults.push({ status: 400, body });
    await expect(target.push(manifest, bytesSource(bytes))).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('400 MANIFEST_INVALID: artifact type not allowed') as unknown,
    });
  });
});

describe('removing', () => {
  test('a manifest takes its tags with it', async () => {
    const { target, registry } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    await target.can.remove?.(blob);
    await expect(target.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(target.can.remove?.(blob)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('a tag leaves the manifest', async () => {
    const { target, registry } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    await target.can.untag?.('v1');
    await expect(target.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await target.resolve(blob.digest)).toEqual(blob);
  });

  test('that the registry does not support is said', async () => {
    const { target, registry } = await connect({ behaviour: { deletes: 'none' } });
    const { blob } = await addEmptyManifest(registry, 'v1');
    await expect(target.can.remove?.(blob)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: `Removing models is unsupported by registry ${registry.host}`,
    });
  });

  test('of a tag alone that the registry does not support names the way out', async () => {
    const { target, registry } = await connect({ behaviour: { deletes: 'digests' } });
    await addEmptyManifest(registry, 'v1');
    await expect(target.can.untag?.('v1')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('by its digest') as unknown,
    });
    expect(await target.resolve('v1')).toBeDefined();
  });
});
