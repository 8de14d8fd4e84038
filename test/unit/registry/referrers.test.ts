import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { referrersTag } from '../../../src/oci/referrers-tag.ts';
import { connect, type Connection } from '../../support/registry-client.ts';

const TYPE = 'application/x.test';

interface Sample extends Connection {
  readonly subject: Descriptor;
  readonly referrer: Descriptor;
}

async function push({ target, registry }: Connection, fields: Readonly<Record<string, unknown>>): Promise<Descriptor> {
  await registry.addBlob('team/model', Buffer.from('{}'));
  const config = descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [], ...fields }));
  const blob = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
  await target.push(blob, bytesSource(bytes));
  return blob;
}

async function sample(hasApi = true): Promise<Sample> {
  const connection = await connect({ behaviour: { referrers: hasApi } });
  const subject = await push(connection, { annotations: { name: 'model' } });
  const referrer = await push(connection, { artifactType: TYPE, subject, annotations: { by: 'me' } });
  return { ...connection, subject, referrer };
}

function addFallback({ registry, subject }: Sample, bytes: Buffer, mediaType: string = MEDIA_TYPE.imageIndex): void {
  registry.addManifest('team/model', bytes, referrersTag(subject.digest), mediaType);
}

const index = (...manifests: Descriptor[]) =>
  Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests }));
const list = async ({ target, subject }: Sample) => await Array.fromAsync(target.can.referrers?.(subject) ?? []);

/** Answers the next request for referrers. */
function answer({ registry }: Sample, body: string | Buffer, headers: Record<string, string> = {}): void {
  registry.behaviour.faults.push({
    match: /referrers/,
    status: 200,
    body: body.toString(),
    headers: { 'Content-Type': MEDIA_TYPE.imageIndex, ...headers },
  });
}

test('the tag of a subject', () => {
  const digest = digestOf(Buffer.from('x'), 'sha512');
  expect(referrersTag(digest)).toBe(`sha512-${digest.slice(7, 71)}`);
});

describe('the referrers API', () => {
  test('lists what refers to the subject', async () => {
    const made = await sample();
    made.registry.clear();
    expect(await list(made)).toEqual([{ ...made.referrer, artifactType: TYPE, annotations: { by: 'me' } }]);
    expect(made.registry.log()).toEqual(['GET /v2/team/model/referrers/DIGEST -> 200']);
  });

  test('pages are followed, on the registry only', async () => {
    const made = await sample();
    const path = `/v2/team/model/referrers/${made.subject.digest}`;
    answer(made, index(made.referrer), { Link: `<https://elsewhere.example${path}?last=1>; rel="next"` });
    answer(made, index(made.subject));
    made.registry.clear();
    expect(await list(made)).toEqual([made.referrer, made.subject]);
    expect(made.registry.requests.map((request) => request.path)).toEqual([path, `${path}?last=1`]);
  });

  test('pages in a circle', async () => {
    const made = await sample();
    answer(made, index(), { Link: `</v2/team/model/referrers/${made.subject.digest}>; rel="next"` });
    await expect(list(made)).rejects.toMatchObject({ code: 'REGISTRY_ERROR', message: expect.stringContaining('does not end') as string });
  });

  test.each([
    ['no JSON', 'hello'],
    ['another document', '{"schemaVersion":2}x'],
    ['an entry that is none', JSON.stringify({ schemaVersion: 2, manifests: [{ digest: '../../x' }] })],
  ])('an answer that is no list: %s', async (_, body) => {
    const made = await sample();
    answer(made, body);
    await expect(list(made)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  });

  test('a page larger than any manifest', async () => {
    const made = await sample();
    answer(made, `"${'x'.repeat(5_000_000)}"`);
    await expect(list(made)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });
});

describe('without the referrers API', () => {
  test('the index under the fallback tag is read', async () => {
    const made = await sample(false);
    addFallback(made, index(made.referrer));
    expect(await list(made)).toEqual([made.referrer]);
  });

  test('no such tag: nothing', async () => {
    const made = await sample(false);
    made.registry.storage.repository('team/model').tags.clear();
    expect(await list(made)).toEqual([]);
  });

  test('something else under the tag: nothing', async () => {
    const made = await sample(false);
    const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config: made.subject, layers: [] };
    addFallback(made, Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.imageManifest);
    expect(await list(made)).toEqual([]);
    addFallback(made, Buffer.from('not an index'));
    expect(await list(made)).toEqual([]);
  });

  test.each([400, 405, 406, 501])('status %i means that too', async (status) => {
    const made = await sample(false);
    addFallback(made, index(made.referrer));
    made.registry.behaviour.faults.push({ match: /referrers/, status });
    expect(await list(made)).toEqual([made.referrer]);
  });

  test('so does a page for people', async () => {
    const made = await sample(false);
    addFallback(made, index(made.referrer));
    answer(made, '<html>welcome</html>', { 'Content-Type': 'text/html; charset=utf-8' });
    expect(await list(made)).toEqual([made.referrer]);
  });

  test.each([
    [401, 'UNAUTHORIZED'],
    [403, 'DENIED'],
    [500, 'REGISTRY_ERROR'],
  ])('status %i does not', async (status, code) => {
    const made = await sample(false);
    addFallback(made, index(made.referrer));
    for (let count = 0; count < 4; count++) made.registry.behaviour.faults.push({ match: /referrers/, status });
    await expect(list(made)).rejects.toMatchObject({ code });
  });
});
