import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { describe } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { serveLayout, serveStore, type TestServer } from '../../support/kit-serve.ts';
import { codesOf, makeManifest, pushArtifact, pushBlob, putManifest } from './api.ts';

const BLOB = Buffer.from('0123456789');
const digest = digestOf(BLOB);

suite.each([
  ['the store', serveStore],
  ['an image layout', serveLayout],
])('over %s', (_name, serve) => {
  let server: TestServer;
  beforeEach(async () => {
    server = await serve();
  });
  afterEach(() => server.close());

  const call = async (method: string, path: string, headers: Record<string, string> = {}, body?: Buffer): Promise<Response> =>
    await fetch(new URL(path, server.url), { method, headers, ...(body !== undefined && { body: Buffer.from(body) }) });
  const begin = async (): Promise<string> => (await call('POST', '/v2/team/model/blobs/uploads/')).headers.get('location') ?? '';
  const ingest = async (): Promise<string[]> => await readdir(join(server.directory, 'ingest')).catch(() => []);

  suite('blobs', () => {
    test('one that is missing, and a path without a digest', async () => {
      const missing = await call('GET', `/v2/team/model/blobs/${digest}`);
      expect([missing.status, await codesOf(missing)]).toEqual([404, ['BLOB_UNKNOWN']]);
      const wrong = await call('GET', '/v2/team/model/blobs/sha256:12');
      expect([wrong.status, await codesOf(wrong)]).toEqual([400, ['DIGEST_INVALID']]);
    });

    test.each([
      ['bytes=2-4', 206, 'bytes 2-4/10', '234'],
      ['bytes=7-', 206, 'bytes 7-9/10', '789'],
      ['bytes=-3', 206, 'bytes 7-9/10', '789'],
      ['bytes=5-500', 206, 'bytes 5-9/10', '56789'],
      ['bytes=10-', 416, 'bytes */10', 'RANGE_INVALID'],
      ['bytes=4-2', 416, 'bytes */10', 'RANGE_INVALID'],
      ['bytes=0-1,4-5', 200, null, '0123456789'],
      ['lines=1-2', 200, null, '0123456789'],
    ])('Range: %s', async (range, status, contentRange, content) => {
      await pushBlob(server, 'team/model', BLOB);
      const response = await call('GET', `/v2/team/model/blobs/${digest}`, { range });
      const text = await response.text();
      expect([response.status, response.headers.get('content-range')]).toEqual([status, contentRange]);
      expect(text).toContain(content);
    });

    test('HEAD tells what GET would send', async () => {
      await pushBlob(server, 'team/model', BLOB);
      const head = await call('HEAD', `/v2/team/model/blobs/${digest.replace(':', '%3A')}`);
      expect(head.status).toBe(200);
      expect(Object.fromEntries(head.headers)).toMatchObject({
        'content-length': '10',
        'docker-content-digest': digest,
        'accept-ranges': 'bytes',
        etag: `"${digest}"`,
      });
      expect((await call('GET', `/v2/team/model/blobs/${digest}`, { 'if-none-match': `"${digest}"` })).status).toBe(304);
      const other = await call('GET', `/v2/team/model/blobs/${digest}`, { range: 'bytes=1-2', 'if-range': '"other"' });
      expect(other.status).toBe(200);
    });

    test('one that was damaged is not there for who would push it, and comes back with the push', async () => {
      const { writeFile } = await import('node:fs/promises');
      await pushBlob(server, 'team/model', BLOB);
      await writeFile(server.content.blobs.pathOf(digest), '0123456780');
      expect((await call('HEAD', `/v2/team/model/blobs/${digest}`)).status).toBe(404);
      await pushBlob(server, 'team/model', BLOB);
      expect(await (await call('GET', `/v2/team/model/blobs/${digest}`)).text()).toBe('0123456789');
    });

    test('is deleted, unless a manifest of any repository needs it', async () => {
      await pushBlob(server, 'team/model', BLOB);
      expect((await call('DELETE', `/v2/team/model/blobs/${digest}`)).status).toBe(202);
      expect((await call('HEAD', `/v2/team/model/blobs/${digest}`)).status).toBe(404);
      await pushArtifact(server, 'other/model', 'v1', { layer: '0123456789' });
      const refused = await call('DELETE', `/v2/team/model/blobs/${digest}`);
      expect([refused.status, await codesOf(refused)]).toEqual([405, ['UNSUPPORTED']]);
      expect((await call('HEAD', `/v2/team/model/blobs/${digest}`)).status).toBe(200);
    });
  });

  suite('uploads', () => {
    test('in chunks, with the state told at each step', async () => {
      const location = await begin();
      const first = await call('PATCH', location, { 'content-range': '0-3' }, BLOB.subarray(0, 4));
      expect([first.status, first.headers.get('range')]).toEqual([202, '0-3']);
      const state = await call('GET', location);
      expect([state.status, state.headers.get('range'), state.headers.get('location')]).toEqual([204, '0-3', location]);
      await call('PATCH', location, { 'content-range': '4-7' }, BLOB.subarray(4, 8));
      const done = await call('PUT', `${location}?digest=${digest}`, { 'content-range': '8-9' }, BLOB.subarray(8));
      expect([done.status, done.headers.get('location')]).toEqual([201, `/v2/team/model/blobs/${digest}`]);
      expect(await (await call('GET', `/v2/team/model/blobs/${digest}`)).text()).toBe('0123456789');
      expect((await call('GET', location)).status).toBe(404);
      expect(await ingest()).toEqual([]);
    });

    test('a chunk that is out of order is refused, by PATCH and PUT, and loses nothing', async () => {
      const location = await begin();
      await call('PATCH', location, { 'content-range': '0-3' }, BLOB.subarray(0, 4));
      for (const [method, to] of [
        ['PATCH', location],
        ['PUT', `${location}?digest=${digest}`],
      ] as const) {
        for (const range of ['0-3', '6-9']) {
          const refused = await call(method, to, { 'content-range': range }, BLOB.subarray(0, 4));
          expect([refused.status, refused.headers.get('range'), refused.headers.get('location')]).toEqual([416, '0-3', location]);
        }
      }
      expect((await call('PUT', `${location}?digest=${digest}`, { 'content-range': '4-9' }, BLOB.subarray(4))).status).toBe(201);
    });

    test.each(['4', 'a-b', '4-', '-4', '3-1'])('Content-Range: %s is refused', async (range) => {
      const refused = await call('PATCH', await begin(), { 'content-range': range }, BLOB);
      expect([refused.status, await codesOf(refused)]).toEqual([400, ['BLOB_UPLOAD_INVALID']]);
    });

    test('a length that is not that of the range is refused', async () => {
      const refused = await call('PATCH', await begin(), { 'content-range': '0-3' }, BLOB);
      expect([refused.status, await codesOf(refused)]).toEqual([400, ['SIZE_INVALID']]);
    });

    test('content with another digest is refused, and ends the session', async () => {
      const location = await begin();
      await call('PATCH', location, {}, Buffer.from('something else'));
      const refused = await call('PUT', `${location}?digest=${digest}`);
      expect([refused.status, await codesOf(refused)]).toEqual([400, ['DIGEST_INVALID']]);
      expect((await call('GET', location)).status).toBe(404);
      expect((await call('HEAD', `/v2/team/model/blobs/${digest}`)).status).toBe(404);
      const post = await call('POST', `/v2/team/model/blobs/uploads/?digest=${digest}`, {}, Buffer.from('something else'));
      expect(post.status).toBe(400);
      expect(await ingest()).toEqual([]);
    });

    test('is cancelled', async () => {
      const location = await begin();
      await call('PATCH', location, {}, BLOB);
      expect(await ingest()).toHaveLength(1);
      expect((await call('DELETE', location)).status).toBe(204);
      expect((await call('PATCH', location, {}, BLOB)).status).toBe(404);
      expect(await ingest()).toEqual([]);
    });

    test('belongs to its repository', async () => {
      const location = await begin();
      const elsewhere = await call('PATCH', location.replace('team/model', 'team/other'), {}, BLOB);
      expect([elsewhere.status, await codesOf(elsewhere)]).toEqual([404, ['BLOB_UPLOAD_UNKNOWN']]);
    });

    test('the empty blob', async () => {
      const empty = digestOf(Buffer.alloc(0));
      const done = await call('PUT', `${await begin()}?digest=${empty}`);
      expect(done.status).toBe(201);
      expect((await call('HEAD', `/v2/team/model/blobs/${empty}`)).headers.get('content-length')).toBe('0');
    });

    test.each(['?digest-algorithm=sha512', ''])('sha512, POST with `%s`', async (query) => {
      const sha512 = digestOf(BLOB, 'sha512');
      const location = (await call('POST', `/v2/team/model/blobs/uploads/${query}`)).headers.get('location') ?? '';
      expect((await call('PUT', `${location}?digest=${sha512}`, {}, BLOB)).status).toBe(201);
      expect(await (await call('GET', `/v2/team/model/blobs/${sha512}`)).text()).toBe('0123456789');
    });

    test('several MiB in odd pieces', async () => {
      const bytes = Buffer.alloc(5_000_001);
      for (let index = 0; index < bytes.length; index += 1) bytes[index] = (index * 7) % 251;
      const location = await begin();
      const cuts = [0, 1, 1_048_577, 3_000_000, bytes.length];
      for (const [index, start] of cuts.slice(0, -1).entries()) await call('PATCH', location, {}, bytes.subarray(start, cuts[index + 1]));
      expect((await call('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(201);
      const back = Buffer.from(await (await call('GET', `/v2/team/model/blobs/${digestOf(bytes)}`)).arrayBuffer());
      expect(back.equals(bytes)).toBe(true);
    });

    test('a mount needs no bytes where the blob is, with and without a source, and begins an upload where it is not', async () => {
      const mount = `/v2/team/copy/blobs/uploads/?mount=${digest}`;
      expect((await call('POST', `${mount}&from=team/model`)).status).toBe(202);
      await pushBlob(server, 'team/model', BLOB);
      for (const from of ['&from=team/model', '']) {
        const mounted = await call('POST', mount + from);
        expect([mounted.status, mounted.headers.get('location')]).toEqual([201, `/v2/team/copy/blobs/${digest}`]);
      }
    });
  });

  suite('manifests', () => {
    test('come back as they were sent, by tag and by digest', async () => {
      const body = Buffer.concat([Buffer.from(' \n'), await makeManifest(server, 'team/model')]);
      const { digest: expected } = describe('', body);
      const put = await putManifest(server, 'team/model', 'v1', body);
      expect([put.status, put.headers.get('docker-content-digest')]).toEqual([201, expected]);
      for (const reference of ['v1', expected]) {
        const got = await call('GET', `/v2/team/model/manifests/${reference}`);
        expect([got.status, got.headers.get('content-type'), got.headers.get('docker-content-digest')]).toEqual([
          200,
          MEDIA_TYPE.imageManifest,
          expected,
        ]);
        expect(Buffer.from(await got.arrayBuffer())).toEqual(body);
        const head = await call('HEAD', `/v2/team/model/manifests/${reference}`);
        expect([head.status, head.headers.get('content-length')]).toEqual([200, String(body.byteLength)]);
      }
    });

    test('by digest with tags, and by another digest than theirs', async () => {
      const body = await makeManifest(server, 'team/model');
      const put = await putManifest(server, 'team/model', `${digestOf(body, 'sha512')}?tag=a&tag=b`, body);
      expect([put.status, put.headers.get('oci-tag')]).toEqual([201, 'a, b']);
      expect((await call('HEAD', '/v2/team/model/manifests/b')).headers.get('docker-content-digest')).toBe(digestOf(body, 'sha512'));
      const wrong = await putManifest(server, 'team/model', digest, body);
      expect([wrong.status, await codesOf(wrong)]).toEqual([400, ['DIGEST_INVALID']]);
    });

    test.each([
      ['no JSON', 'nonsense', {}, 400, 'MANIFEST_INVALID'],
      ['no manifest', '{"schemaVersion":2}', {}, 400, 'MANIFEST_INVALID'],
      [
        'an unknown type',
        '{"schemaVersion":1}',
        { 'content-type': 'application/vnd.docker.distribution.manifest.v1+json' },
        400,
        'MANIFEST_INVALID',
      ],
      ['more than 4 MiB', ' '.repeat(4 * 1024 * 1024 + 1), {}, 413, 'SIZE_INVALID'],
    ])('%s is refused', async (_what, body, headers, status, code) => {
      const refused = await putManifest(server, 'team/model', 'v1', Buffer.from(body), headers);
      expect([refused.status, await codesOf(refused)]).toEqual([status, [code]]);
      expect((await call('GET', '/v2/team/model/manifests/v1')).status).toBe(404);
    });

    test('a header that contradicts the body is refused', async () => {
      const refused = await putManifest(server, 'team/model', 'v1', await makeManifest(server, 'team/model'), {
        'content-type': MEDIA_TYPE.dockerManifest,
      });
      expect([refused.status, await codesOf(refused)]).toEqual([400, ['MANIFEST_INVALID']]);
    });

    test('what it names must be there', async () => {
      const body = await makeManifest(server, 'team/model', { layer: '0123456789' });
      await call('DELETE', `/v2/team/model/blobs/${digest}`);
      const refused = await putManifest(server, 'team/model', 'v1', body);
      expect([refused.status, await codesOf(refused)]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']]);
    });

    test('deleting a tag keeps the manifest, deleting the manifest takes its tags along', async () => {
      const { digest: manifest } = await pushArtifact(server, 'team/model', 'v1');
      await pushArtifact(server, 'team/model', 'v2');
      expect((await call('DELETE', '/v2/team/model/manifests/v1')).status).toBe(202);
      expect((await call('GET', '/v2/team/model/manifests/v1')).status).toBe(404);
      expect((await call('GET', `/v2/team/model/manifests/${manifest}`)).status).toBe(200);
      expect((await call('DELETE', `/v2/team/model/manifests/${manifest}`)).status).toBe(202);
      expect((await call('GET', '/v2/team/model/manifests/v2')).status).toBe(404);
      const again = await call('DELETE', `/v2/team/model/manifests/${manifest}`);
      expect(again.status).toBe(404);
    });

    test('an index keeps its manifests from being deleted, and does not take them along', async () => {
      const child = await pushArtifact(server, 'team/model', 'v1');
      await call('DELETE', '/v2/team/model/manifests/v1');
      const inner = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [child] }));
      const innerIndex = describe(MEDIA_TYPE.imageIndex, inner);
      const outer = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [innerIndex] }));
      const headers = { 'content-type': MEDIA_TYPE.imageIndex };
      expect((await putManifest(server, 'team/model', 'outer', outer, headers)).status).toBe(404);
      expect((await putManifest(server, 'team/model', innerIndex.digest, inner, headers)).status).toBe(201);
      expect((await putManifest(server, 'team/model', 'outer', outer, headers)).status).toBe(201);
      const refused = await call('DELETE', `/v2/team/model/manifests/${child.digest}`);
      expect([refused.status, await codesOf(refused)]).toEqual([405, ['UNSUPPORTED']]);
      for (const index of [describe('', outer), innerIndex])
        expect((await call('DELETE', `/v2/team/model/manifests/${index.digest}`)).status).toBe(202);
      expect((await call('GET', `/v2/team/model/manifests/${child.digest}`)).status).toBe(200);
      expect((await call('DELETE', `/v2/team/model/manifests/${child.digest}`)).status).toBe(202);
      expect((await call('GET', `/v2/team/model/manifests/${child.digest}`)).status).toBe(404);
    });

    test('If-Match replaces only what was read', async () => {
      const first = await pushArtifact(server, 'team/model', 'v1');
      const body = await makeManifest(server, 'team/model', { layer: 'second' });
      const put = async (etag: string) => await putManifest(server, 'team/model', 'v1', body, { 'if-match': etag });
      expect((await put(`"${digest}"`)).status).toBe(412);
      expect((await put(`"${first.digest}"`)).status).toBe(201);
      expect((await put(`"${first.digest}"`)).status).toBe(412);
    });
  });

  suite('lists', () => {
    test('tags in order, page by page', async () => {
      for (const tag of ['b', 'c', 'a']) await pushArtifact(server, 'team/model', tag);
      expect(await (await call('GET', '/v2/team/model/tags/list')).json()).toEqual({ name: 'team/model', tags: ['a', 'b', 'c'] });
      const page = await call('GET', '/v2/team/model/tags/list?n=2');
      expect(await page.json()).toEqual({ name: 'team/model', tags: ['a', 'b'] });
      const next = /^<([^>]+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1] ?? '';
      const last = await call('GET', next);
      expect([await last.json(), last.headers.get('link')]).toEqual([{ name: 'team/model', tags: ['c'] }, null]);
      expect(await (await call('GET', '/v2/team/model/tags/list?n=0')).json()).toEqual({ name: 'team/model', tags: [] });
      expect((await call('GET', '/v2/team/model/tags/list?n=-1')).status).toBe(400);
      const unknown = await call('GET', '/v2/team/none/tags/list');
      expect([unknown.status, await codesOf(unknown)]).toEqual([404, ['NAME_UNKNOWN']]);
    });

    test('repositories, page by page', async () => {
      for (const name of ['x/b', 'x/a', 'y']) await pushArtifact(server, name, 'v1');
      expect(await (await call('GET', '/v2/_catalog')).json()).toEqual({ repositories: ['x/a', 'x/b', 'y'] });
      const page = await call('GET', '/v2/_catalog?n=1&last=x/a');
      expect([await page.json(), page.headers.get('link')]).toEqual([
        { repositories: ['x/b'] },
        '</v2/_catalog?last=x%2Fb&n=1>; rel="next"',
      ]);
    });

    test('referrers, by type, before and after their subject', async () => {
      const subject = describe(MEDIA_TYPE.imageManifest, await makeManifest(server, 'team/model'));
      const none = await call('GET', `/v2/team/model/referrers/${subject.digest}`);
      expect([none.status, ((await none.json()) as { manifests: [] }).manifests]).toEqual([200, []]);
      const body = await makeManifest(server, 'team/model', { layer: 'sbom', subject, artifactType: 'application/spdx+json' });
      const put = await putManifest(server, 'team/model', digestOf(body), body);
      expect([put.status, put.headers.get('oci-subject')]).toEqual([201, subject.digest]);
      await pushArtifact(server, 'team/model', 'signature', { layer: 'sig', subject, artifactType: 'application/x-sig' });
      const all = await call('GET', `/v2/team/model/referrers/${subject.digest}`);
      expect([all.headers.get('content-type'), all.headers.get('oci-filters-applied')]).toEqual([MEDIA_TYPE.imageIndex, null]);
      expect(((await all.json()) as { manifests: [] }).manifests).toHaveLength(2);
      const some = await call('GET', `/v2/team/model/referrers/${subject.digest}?artifactType=application/spdx%2Bjson`);
      expect(some.headers.get('oci-filters-applied')).toBe('artifactType');
      expect(await some.json()).toMatchObject({ manifests: [{ digest: digestOf(body), artifactType: 'application/spdx+json' }] });
    });
  });

  test('the base, what is no endpoint, and methods that an endpoint does not have', async () => {
    const base = await call('GET', '/v2/');
    expect([base.status, base.headers.get('docker-distribution-api-version')]).toEqual([200, 'registry/2.0']);
    expect((await call('GET', '/')).status).toBe(404);
    expect((await call('GET', '/v2/team/model/nothing/x')).status).toBe(404);
    const post = await call('POST', `/v2/team/model/blobs/${digest}`);
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD, DELETE']);
  });

  test('a page in a browser may not write', async () => {
    const refused = await call('POST', `/v2/team/model/blobs/uploads/?digest=${digest}`, { origin: 'https://evil.example' }, BLOB);
    expect([refused.status, await codesOf(refused)]).toEqual([403, ['DENIED']]);
    expect((await call('HEAD', `/v2/team/model/blobs/${digest}`)).status).toBe(404);
  });
});
