import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import {
  REPOSITORY,
  TYPE,
  made,
  manifestOf,
  push,
  refer,
  entryOf,
  listed,
  put,
  other,
  tagRequests,
  conditions,
  readOnce,
} from './referrers-sample.ts';

describe('a manifest with a subject', () => {
  test('is all that is sent to a registry that takes note of it', async () => {
    const to = await made({ referrers: true });
    await refer(to, 1);
    expect(to.registry.log()).toEqual([`PUT /v2/${REPOSITORY}/manifests/DIGEST -> 201`]);
  });

  test('is listed under the fallback tag where the registry does not', async () => {
    const to = await made();
    const blob = await refer(to, 1);
    expect(listed(to)).toEqual({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [entryOf(blob, 1)] });
    expect(tagRequests(to)).toEqual(['GET 404', 'PUT 201', 'GET 200']);
    expect(to.registry.requests.find(({ method, path }) => method === 'PUT' && path.endsWith(to.tag))?.headers['content-type']).toBe(
      MEDIA_TYPE.imageIndex,
    );
    expect(await Array.fromAsync(to.target.can.referrers?.(to.subject) ?? [])).toEqual([entryOf(blob, 1)]);
  });

  test('is listed too where the registry has noted another one', async () => {
    const to = await made({ referrers: true });
    const blob = await refer(to, 1);
    to.registry.behaviour.faults.push({ match: /^PUT/, status: 201, body: '', headers: { 'OCI-Subject': blob.digest } });
    await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([entryOf(blob, 1)]);
  });

  test('is listed too where the registry is not to be asked for its list', async () => {
    const to = await made({ referrers: true }, { referrers: 'tag' });
    const blob = await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([entryOf(blob, 1)]);
    to.registry.clear();
    expect(await Array.fromAsync(to.target.can.referrers?.(to.subject) ?? [])).toEqual([entryOf(blob, 1)]);
    expect(tagRequests(to)).toEqual(['GET 200']);
  });

  test("without a type of its own has its config's", async () => {
    const to = await made();
    const blob = await push(to, manifestOf({ subject: to.subject }));
    expect(listed(to)?.manifests).toEqual([{ ...blob, artifactType: MEDIA_TYPE.emptyJson }]);
  });

  test.each([{ artifactType: TYPE }, {}])('may be an index: %o', async (type) => {
    const to = await made();
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, ...type, manifests: [], subject: to.subject };
    const blob = await push(to, index, MEDIA_TYPE.imageIndex);
    expect(listed(to)?.manifests).toEqual([{ ...blob, ...type }]);
  });

  test('of sha512 is listed under a tag of 64 digits', async () => {
    const to = await made();
    const digest = digestOf(Buffer.from('x'), 'sha512');
    await push(to, manifestOf({ subject: { ...to.subject, digest } }));
    expect([...(to.registry.storage.find(REPOSITORY)?.tags.keys() ?? [])]).toContain(`sha512-${digest.slice(7, 71)}`);
  });

  test('is not listed again by its tags', async () => {
    const to = await made();
    const blob = await refer(to, 1);
    to.registry.clear();
    await to.target.tag(blob, 'signature');
    expect(to.registry.log()).toEqual([`PUT /v2/${REPOSITORY}/manifests/signature -> 201`]);
  });
});

describe('an index that is there already', () => {
  test('keeps what it holds', async () => {
    const to = await made();
    const theirs = [
      { ...other(to, 1), data: 'AAAA', platform: { os: 'linux', architecture: 'none' } },
      { ...other(to, 2), 'x-unknown': [1] },
    ];
    put(to, theirs, { annotations: { a: 'b' }, 'x-unknown': true });
    const blob = await refer(to, 1);
    expect(listed(to)).toMatchObject({ annotations: { a: 'b' }, 'x-unknown': true, manifests: [...theirs, entryOf(blob, 1)] });
  });

  test('is left alone when it says all', async () => {
    const to = await made();
    await refer(to, 1);
    to.registry.clear();
    await refer(to, 1);
    expect(tagRequests(to)).toEqual(['GET 200']);
  });

  test('gets what finders go by set right, in place', async () => {
    const to = await made();
    const blob = await refer(to, 1);
    put(to, [{ ...blob, artifactType: MEDIA_TYPE.emptyJson }, other(to, 1)]);
    await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([entryOf(blob, 1), other(to, 1)]);
  });

  test('loses what stands in it twice when it is written', async () => {
    const to = await made();
    put(to, [other(to, 1), other(to, 1), other(to, 2)]);
    const blob = await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([other(to, 1), other(to, 2), entryOf(blob, 1)]);
  });

  test.each([
    ['a manifest', MEDIA_TYPE.imageManifest, manifestOf({ subject: undefined })],
    ['a list of Docker', MEDIA_TYPE.dockerManifestList, { schemaVersion: 2, manifests: [] }],
    ['a malformed index', MEDIA_TYPE.imageIndex, { schemaVersion: 2, manifests: [{ digest: 'x' }] }],
  ])('is never %s that is overwritten', async (_, mediaType, content) => {
    const to = await made();
    const bytes = Buffer.from(JSON.stringify(content));
    const before = to.registry.addManifest(REPOSITORY, bytes, to.tag, mediaType);
    await expect(refer(to, 1)).rejects.toMatchObject({
      code: 'MANIFEST_INVALID',
      message: expect.stringContaining(`${to.target.name}:${to.tag}: the tag that lists what refers to ${to.subject.digest}`) as string,
      hint: expect.stringContaining('remove that tag') as string,
    });
    expect((await to.target.resolve(to.tag)).digest).toBe(before.digest);
  });

  test('loses entries that are there no more, as a registry does not take the index with them', async () => {
    const to = await made();
    const [gone, kept] = [other(to, 1), other(to, 2)];
    put(to, [gone, kept, { ...gone, digest: digestOf(Buffer.from('gone')) }]);
    to.registry.storage.repository(REPOSITORY).manifests.delete(gone.digest);
    const blob = await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([kept, entryOf(blob, 1)]);
  });

  test('that a registry does not take for other reasons is not tried for ever', async () => {
    const to = await made();
    put(to, [other(to, 1)]);
    const body = JSON.stringify({ errors: [{ code: 'MANIFEST_BLOB_UNKNOWN', message: 'no' }] });
    for (let count = 0; count < 5; count++) to.registry.behaviour.faults.push({ match: new RegExp(`^PUT .*${to.tag}`), status: 404, body });
    await expect(refer(to, 1)).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
    expect(listed(to)?.manifests).toEqual([other(to, 1)]);
  });

  test('does not grow beyond what can be read', async () => {
    const to = await made();
    put(to, [{ ...other(to, 1), annotations: { long: 'x'.repeat(4 * 1024 * 1024 - 400) } }]);
    await expect(refer(to, 1)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(listed(to)?.manifests).toHaveLength(1);
  });
});

describe('other writers', () => {
  test('that have overwritten the entry get theirs merged with it', async () => {
    const to = await made();
    to.onPause = (count) => void (count <= 2 && put(to, [other(to, count)]));
    const blob = await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([other(to, 2), entryOf(blob, 1)]);
    expect(tagRequests(to)).toEqual(['GET 404', 'PUT 201', 'GET 200', 'PUT 201', 'GET 200', 'PUT 201', 'GET 200']);
  });

  test('that keep the entry are waited for until they are done', async () => {
    const to = await made();
    let count = 0;
    to.onPause = () => void ((count += 1) <= 3 && put(to, [...(listed(to)?.manifests ?? []), other(to, count)]));
    await refer(to, 1);
    expect(listed(to)?.manifests).toHaveLength(4);
    expect(count).toBe(4);
  });

  test('that never rest end in an error', async () => {
    const to = await made();
    to.onPause = (count) => void put(to, [other(to, count)]);
    await expect(refer(to, 1)).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringMatching(/the list of referrers keeps changing; sha256:\w+ may be missing/) as string,
    });
    expect(tagRequests(to).length).toBeLessThan(100);
  });

  test('in one client wait for one another only once', async () => {
    const to = await made();
    const blobs = await Promise.all(Array.from({ length: 20 }, async (_, number) => await refer(to, number)));
    const digests = listed(to)?.manifests.map(({ digest }) => digest) ?? [];
    expect(new Set(digests)).toEqual(new Set(blobs.map(({ digest }) => digest)));
    expect(digests).toHaveLength(20);
    expect(tagRequests(to).filter((line) => line.startsWith('PUT')).length).toBeLessThan(20);
  });

  test('in one client hear of a failure each, and the next one begins anew', async () => {
    const to = await made();
    put(to, [], {}, MEDIA_TYPE.dockerManifestList);
    const results = await Promise.allSettled([refer(to, 1), refer(to, 2), refer(to, 3)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    put(to, []);
    await refer(to, 4);
    expect(listed(to)?.manifests).toHaveLength(1);
  });
});

describe('writing the index', () => {
  test('is repeated after reading again', async () => {
    const to = await made();
    to.registry.behaviour.faults.push({ match: new RegExp(`^PUT .*${to.tag}`), status: 503 });
    to.onPause = (count) => void (count === 1 && put(to, [other(to, 1)]));
    const blob = await refer(to, 1);
    expect(listed(to)?.manifests).toEqual([other(to, 1), entryOf(blob, 1)]);
    expect(tagRequests(to).slice(0, 4)).toEqual(['GET 404', 'PUT 503', 'GET 200', 'PUT 201']);
  });

  test('is not repeated for ever', async () => {
    const to = await made();
    for (let count = 0; count < 10; count++) to.registry.behaviour.faults.push({ match: new RegExp(`^PUT .*${to.tag}`), status: 503 });
    await expect(refer(to, 1)).rejects.toMatchObject({ code: 'REGISTRY_ERROR', message: expect.stringContaining('503') as string });
    expect(tagRequests(to)).toEqual(['GET 404', 'PUT 503', 'GET 404', 'PUT 503', 'GET 404', 'PUT 503', 'GET 404', 'PUT 503']);
  });

  test('that is denied names the tag', async () => {
    const to = await made();
    to.registry.behaviour.faults.push({ match: new RegExp(`^PUT .*${to.tag}`), status: 403 });
    await expect(refer(to, 1)).rejects.toMatchObject({ code: 'DENIED', message: expect.stringContaining(to.tag) as string });
  });

  test('ends when the run is stopped', async () => {
    const to = await made();
    const controller = new AbortController();
    const reason = new Error('stop');
    to.onPause = (count) => {
      put(to, [other(to, count)]);
      controller.abort(reason);
    };
    const bytes = Buffer.from(JSON.stringify(manifestOf({ subject: to.subject })));
    const pushing = to.target.push(descriptorOf(MEDIA_TYPE.imageManifest, bytes), bytesSource(bytes), { signal: controller.signal });
    await expect(pushing).rejects.toBe(reason);
  });

  test('is conditional where the registry gives an ETag', async () => {
    const to = await made();
    readOnce(to, '"one"');
    to.registry.behaviour.faults.push({ match: new RegExp(`^PUT .*${to.tag}`), status: 412 });
    readOnce(to, '"two"', [other(to, 1)]);
    const blob = await refer(to, 1);
    expect(conditions(to)).toEqual(['"one"', '"two"']);
    expect(listed(to)?.manifests).toEqual([other(to, 1), entryOf(blob, 1)]);
  });

  test('is not where the ETag is weak', async () => {
    const to = await made();
    readOnce(to, 'W/"one"');
    await refer(to, 1);
    expect(conditions(to)).toEqual([undefined]);
  });

  test('is no more where a registry cannot match its own ETag', async () => {
    const to = await made();
    readOnce(to, '"same"');
    to.registry.behaviour.faults.push({ match: new RegExp(`^PUT .*${to.tag}`), status: 412 });
    readOnce(to, '"same"');
    await refer(to, 1);
    expect(conditions(to)).toEqual(['"same"', undefined]);
  });
});
