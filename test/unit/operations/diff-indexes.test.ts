import { describe, expect, test } from 'vitest';
import type { Digest } from '../../../src/oci/digest.ts';
import { parseLocation, parseReference } from '../../../src/oci/reference.ts';
import { diff, type DiffResult } from '../../../src/operations/diff/diff.ts';
import type { IndexesDiff } from '../../../src/operations/diff/indexes.ts';
import { pairMembers } from '../../../src/operations/diff/pair-members.ts';
import { diffTensors } from '../../../src/operations/diff/tensors.ts';
import { addToIndex, createIndex } from '../../../src/operations/model-index/edit.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { pushIndex } from '../../../src/operations/model-index/push.ts';
import { parseLabelEdits } from '../../../src/operations/model-index/variant-labels.ts';
import type { Variant } from '../../../src/formats/model-index.ts';
import { openRegistry } from './remote-artifact.ts';
import { type Workspace, workspace } from './sandbox.ts';

/** Packs `REPOSITORY:TAG` with this content. */
async function packOne(box: Workspace, name: string, content: string): Promise<Digest> {
  const folder = name.replaceAll(/\W/g, '_');
  box.write({ [`${folder}/w.txt`]: content, [`${folder}/Kitfile`]: 'manifestVersion: 1.0.0\nmodel: {path: w.txt}\n' });
  return (await pack(box.kit, { directory: box.path(folder), destination: parseLocation(name) })).digest;
}

/** An index of members of its repository: tag to labels. */
async function index(box: Workspace, name: string, members: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const reference = parseReference(name);
  await createIndex(box.kit, reference);
  for (const [tag, labels] of Object.entries(members)) {
    const modelkit = parseReference(`${name.slice(0, name.lastIndexOf(':'))}:${tag}`);
    await addToIndex(box.kit, { index: reference, modelkit, labels: parseLabelEdits(labels) });
  }
}

const side = (name: string) => ({ location: parseLocation(name), lookup: 'local-first' as const });

async function compare(box: Workspace, a: string, b: string, files = false): Promise<IndexesDiff<DiffResult>> {
  const result = await diff(box.kit, { a: side(a), b: side(b), files });
  if (!('members' in result)) throw new Error('these are artifacts');
  return result;
}

/** Two releases: `q4` changed, `q8` stayed, `fp16` is new, `q2` is gone. */
async function releases(box: Workspace, repository = 'm'): Promise<Record<string, Digest>> {
  const digests: Record<string, Digest> = {};
  for (const [tag, content] of Object.entries({ 'q4-1': 'one', 'q4-2': 'three', q8: 'eight', q2: 'two', fp16: 'sixteen' }))
    digests[tag] = await packOne(box, `${repository}:${tag}`, content);
  await index(box, `${repository}:v1`, { 'q4-1': ['q=q4'], q8: ['q=q8'], q2: ['q=q2'] });
  await index(box, `${repository}:v2`, { fp16: ['q=fp16'], q8: ['q=q8'], 'q4-2': ['q=q4'] });
  return digests;
}

describe('two indexes', () => {
  test('members are paired by their labels, and each pair is compared as two artifacts are', async () => {
    const box = workspace();
    const digests = await releases(box);
    const result = await compare(box, 'm:v1', 'm:v2', true);
    expect(result).toMatchObject({ identical: false, annotationsMatch: true, a: { reference: 'm:v1' }, b: { reference: 'm:v2' } });
    expect(result.members.map(({ name, identical, sameLabels }) => [name, identical, sameLabels])).toEqual([
      ['q=q8', true, true],
      ['q=q4', false, true],
    ]);
    const [same, changed] = result.members;
    expect(same?.diff).toBeUndefined();
    expect(changed?.diff).toMatchObject({
      identical: false,
      sameConfig: false,
      a: { digest: digests['q4-1'] },
      b: { digest: digests['q4-2'] },
    });
    expect(changed?.diff?.files?.changed.map(({ a, b }) => [a.path, a.size, b.size])).toEqual([['w.txt', 3, 5]]);
    expect(changed?.b).toEqual({ reference: `m@${digests['q4-2']}`, digest: digests['q4-2'], tag: 'q4-2', labels: { q: 'q4' } });
    expect([result.added, result.removed].map((list) => list.map(({ digest }) => digest))).toEqual([[digests['fp16']], [digests['q2']]]);
  });

  test('in a registry, with no layer read that both have', async () => {
    const registry = await openRegistry();
    const box = workspace();
    const repository = `${registry.host}/m`;
    await releases(box, repository);
    for (const tag of ['v1', 'v2']) await pushIndex(box.kit, { source: parseLocation(`${repository}:${tag}`) });
    registry.clear();
    const result = await diff(workspace().kit, { a: side(`${repository}:v1`), b: side(`${repository}:v2`) });
    expect(result).toMatchObject({ identical: false, members: [{ identical: true }, { identical: false, diff: { sameConfig: false } }] });
    // the configs of the pair that differs
    expect(registry.requests.filter(({ path, method }) => method === 'GET' && path.includes('/blobs/'))).toHaveLength(2);
  });

  test('tensors are compared pair by pair', async () => {
    const box = workspace();
    await releases(box);
    const result = await diffTensors(box.kit, { a: side('m:v1'), b: side('m:v2') });
    expect(result).toMatchObject({ members: [{ diff: undefined }, { diff: { added: [], removed: [], undecided: [] } }] });
  });

  test('the same index is identical, and one label more is a difference that is said', async () => {
    const box = workspace();
    await releases(box);
    expect(await compare(box, 'm:v1', 'm:v1')).toMatchObject({ identical: true, added: [], removed: [] });
    await index(box, 'm:v3', { 'q4-1': ['q=q4', 'gpu=a100'], q8: ['q=q8'], q2: ['q=q2'] });
    const { identical, members, added, removed } = await compare(box, 'm:v1', 'm:v3');
    expect([identical, added, removed]).toEqual([false, [], []]);
    expect(members.map((pair) => [pair.identical, pair.sameLabels])).toEqual([
      [true, false],
      [true, true],
      [true, true],
    ]);
  });

  test('an index of one is a list like any other', async () => {
    const box = workspace();
    await releases(box);
    await index(box, 'm:small', { q8: ['q=q8'] });
    const { members, added } = await compare(box, 'm:small', 'm:v1');
    expect([members.length, added.length]).toEqual([1, 2]);
  });
});

describe('an index and a ModelKit', () => {
  test('the member that is the same, the only one, or the one that labels choose', async () => {
    const box = workspace();
    const digests = await releases(box);
    expect(await diff(box.kit, { a: side('m:v1'), b: side('m:q8') })).toMatchObject({ identical: true, a: { digest: digests['q8'] } });
    await index(box, 'm:small', { q8: ['q=q8'] });
    expect(await diff(box.kit, { a: side('m:q2'), b: side('m:small') })).toMatchObject({ identical: false, b: { digest: digests['q8'] } });
    const chosen = { a: side('m:v1'), b: side('m:q4-2'), labels: { q: 'q4' } };
    expect(await diff(box.kit, chosen)).toMatchObject({ identical: false, a: { digest: digests['q4-1'] }, b: { digest: digests['q4-2'] } });
    // of two indexes one each
    const both = { a: side('m:v1'), b: side('m:v2'), labels: { q: 'q4' } };
    expect(await diff(box.kit, both)).toMatchObject({ a: { digest: digests['q4-1'] }, b: { digest: digests['q4-2'] } });
  });

  test('else what there is to choose from, with the command; labels without an index are a mistake', async () => {
    const box = workspace();
    const digests = await releases(box);
    await expect(diff(box.kit, { a: side('m:q4-2'), b: side('m:v1') })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(
        /^m:v1 is an index of 3 artifacts, and m:q4-2 is none of them:\n {2}sha256:\w+ q4-1 \(q=q4\)\n/,
      ) as string,
      hint: `\`kit diff m:v1 m:q4-2 --label KEY=VALUE\` compares one of them, or name it by its digest: \`kit diff m@${digests['q4-1']} m:q4-2\``,
    });
    const labels = { q: 'q4' };
    await expect(diff(box.kit, { a: side('m:q2'), b: side('m:q8'), labels })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(diff(box.kit, { a: side('m:v1'), b: side('m:q8'), labels: { q: 'q5' } })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
    });
  });
});

function member(digest: string, labels: Readonly<Record<string, unknown>> = {}, tag?: string): Variant {
  const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${digest.repeat(64)}`, size: 1 } as const;
  return { descriptor, labels: new Map(Object.entries(labels)), annotations: {}, tag, size: undefined };
}

const letter = ({ descriptor }: Variant): string => descriptor.digest.slice(7, 8);

function shown(a: readonly Variant[], b: readonly Variant[]): unknown {
  const { pairs, added, removed } = pairMembers(a, b);
  return [pairs.map((pair) => letter(pair.a) + letter(pair.b)), added.map(letter), removed.map(letter)];
}

describe('pairing', () => {
  test('labels go before digests: what is swapped has changed', () => {
    expect(shown([member('a', { q: 4 }), member('b', { q: 8 })], [member('b', { q: 4 }), member('a', { q: 8 })])).toEqual([
      ['ab', 'ba'],
      [],
      [],
    ]);
  });

  test('of several with the same labels those that are the same, then in their order', () => {
    const labels = { platform: 'linux/amd64' };
    expect(shown([member('a', labels), member('b', labels), member('c', labels)], [member('d', labels), member('a', labels)])).toEqual([
      ['bd', 'aa'],
      [],
      ['c'],
    ]);
  });

  test('without labels by digest, then by tag, else they are others', () => {
    expect(shown([member('a'), member('b', {}, 'x'), member('c')], [member('d', {}, 'x'), member('e'), member('a', { new: 1 })])).toEqual([
      ['bd', 'aa'],
      ['e'],
      ['c'],
    ]);
  });
});
