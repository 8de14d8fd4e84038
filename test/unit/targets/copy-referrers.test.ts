import { beforeEach, describe, expect, test, vi } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import type { KitEvent } from '../../../src/events.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { copy } from '../../../src/targets/copy.ts';
import { MemoryTarget } from '../../../src/targets/memory.ts';
import type { ReadTarget } from '../../../src/targets/types.ts';
import { pushIndex, pushSample } from './sample.ts';

let src: MemoryTarget;
let dst: MemoryTarget;
let warnings: string[];
const onEvent = (event: KitEvent): void => void (event.type === 'warning' && warnings.push(`${event.code}: ${event.message}`));

beforeEach(() => {
  src = new MemoryTarget('source');
  dst = new MemoryTarget('destination');
  warnings = [];
});

async function referrersOf(target: ReadTarget, subject: Descriptor): Promise<string[]> {
  return (await Array.fromAsync(target.can.referrers?.(subject) ?? [])).map(({ digest }) => digest).toSorted();
}

/** `src`, but with what it lists under the caller's control. */
function listing(list: (subject: Descriptor) => readonly Descriptor[]): ReadTarget {
  return {
    name: 'source',
    can: {
      referrers: async function* referrers(subject) {
        yield* list(subject);
      },
    },
    has: async (blob) => await src.has(blob),
    fetch: async (blob, options) => await src.fetch(blob, options),
    resolve: async (reference) => await src.resolve(reference),
  };
}

const tagFor = ({ digest }: Descriptor, suffix: string): string => `sha256-${digestHex(digest)}.${suffix}`;

describe('referrers', () => {
  test('come along only when asked for', async () => {
    const model = await pushSample(src, 'model');
    await pushSample(src, 'signature', { subject: model.manifest });
    await copy(src, model.manifest.digest, dst, ['v1']);
    expect(await referrersOf(dst, model.manifest)).toEqual([]);
  });

  test('with those of the referrers, each after its subject, and the tag last', async () => {
    const model = await pushSample(src, 'model');
    const sbom = await pushSample(src, 'sbom', { subject: model.manifest });
    const signatures = [
      await pushSample(src, 'one', { subject: sbom.manifest }),
      await pushSample(src, 'two', { subject: model.manifest }),
    ];
    const [push, tag] = [vi.spyOn(dst, 'push'), vi.spyOn(dst, 'tag')];
    await copy(src, model.manifest.digest, dst, ['v1'], { referrers: true });
    expect(new Set(await referrersOf(dst, model.manifest))).toEqual(new Set([sbom.manifest.digest, signatures[1]?.manifest.digest]));
    expect(await referrersOf(dst, sbom.manifest)).toEqual([signatures[0]?.manifest.digest]);
    const order = push.mock.calls.map(([{ digest }]) => digest as string);
    const at = (digest: string | undefined): number => order.indexOf(digest ?? '');
    expect(at(model.manifest.digest)).toBeLessThan(at(sbom.manifest.digest));
    expect(at(sbom.manifest.digest)).toBeLessThan(at(signatures[0]?.manifest.digest));
    expect(tag.mock.invocationCallOrder[0]).toBeGreaterThan(push.mock.invocationCallOrder.at(-1) ?? Number.NaN);
    for (const { layers, config } of [sbom, ...signatures]) for (const blob of [config, ...layers]) expect(await dst.has(blob)).toBe(true);
  });

  test('of what an index lists too', async () => {
    const part = await pushSample(src, 'part');
    const index = await pushIndex(src, [part.manifest]);
    const [onPart, onIndex] = [await pushSample(src, 'a', { subject: part.manifest }), await pushSample(src, 'b', { subject: index })];
    await copy(src, index.digest, dst, ['all'], { referrers: true });
    expect(await referrersOf(dst, part.manifest)).toEqual([onPart.manifest.digest]);
    expect(await referrersOf(dst, index)).toEqual([onIndex.manifest.digest]);
  });

  test('that are not there, or do not say so themselves, or are no manifests, are left out with a warning', async () => {
    const model = await pushSample(src, 'model');
    const [good, other] = [await pushSample(src, 'good', { subject: model.manifest }), await pushSample(src, 'other')];
    const gone = descriptorOf(MEDIA_TYPE.imageManifest, Buffer.from('{"gone":true}'));
    const blob = descriptorOf('application/vnd.oci.artifact.manifest.v1+json', Buffer.from('{}'));
    const from = listing(({ digest }) => (digest === model.manifest.digest ? [gone, other.manifest, blob, good.manifest] : []));
    await copy(from, model.manifest.digest, dst, ['v1'], { referrers: true, onEvent });
    expect(await referrersOf(dst, model.manifest)).toEqual([good.manifest.digest]);
    expect(await dst.has(other.manifest)).toBe(false);
    expect(warnings.map((line) => line.replaceAll(/sha256:\w+/g, 'DIGEST')).toSorted()).toEqual([
      'REFERRER_IGNORED: source lists DIGEST as a referrer of DIGEST, but it is a `application/vnd.oci.artifact.manifest.v1+json`: it is not copied',
      'REFERRER_IGNORED: source lists DIGEST as a referrer of DIGEST, but it is not there: it is not copied',
      'REFERRER_IGNORED: source lists DIGEST as a referrer of DIGEST, but its content does not say so: it is not copied',
    ]);
  });

  test('that a source lists in a loop end', async () => {
    const model = await pushSample(src, 'model');
    const sbom = await pushSample(src, 'sbom', { subject: model.manifest });
    const from = listing(({ digest }) =>
      digest === model.manifest.digest ? [sbom.manifest, model.manifest] : [model.manifest, sbom.manifest],
    );
    await copy(from, model.manifest.digest, dst, ['v1'], { referrers: true });
    expect(await referrersOf(dst, model.manifest)).toEqual([sbom.manifest.digest]);
  });

  test('that go on and on are refused before anything moves', async () => {
    const model = await pushSample(src, 'model');
    let subject = model.manifest;
    for (let depth = 0; depth < 20; depth++) subject = (await pushSample(src, `on ${depth}`, { subject })).manifest;
    const copied = copy(src, model.manifest.digest, dst, ['v1'], { referrers: true });
    await expect(copied).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', origin: 'source' });
    expect(await dst.has(model.manifest)).toBe(false);
  });

  test('of an endless list are refused', async () => {
    const model = await pushSample(src, 'model');
    const from = listing(() => Array.from({ length: 10_001 }, () => model.manifest));
    await expect(copy(from, model.manifest.digest, dst, [], { referrers: true })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });
});

describe("what stands under cosign's tags", () => {
  test('comes along under the same tags, with what belongs to it', async () => {
    const model = await pushSample(src, 'model');
    for (const suffix of ['sig', 'att', 'sbom']) await src.tag((await pushSample(src, suffix)).manifest, tagFor(model.manifest, suffix));
    const sbom = await src.resolve(tagFor(model.manifest, 'sbom'));
    await src.tag((await pushSample(src, 'on the sbom')).manifest, tagFor(sbom, 'sig'));
    await copy(src, model.manifest.digest, dst, ['v1'], { referrers: true, onEvent });
    for (const tag of [...['sig', 'att', 'sbom'].map((suffix) => tagFor(model.manifest, suffix)), tagFor(sbom, 'sig')])
      expect((await dst.resolve(tag)).digest).toBe((await src.resolve(tag)).digest);
    expect(warnings).toEqual([]);
  });

  test('replaces what stood there, and says so', async () => {
    const model = await pushSample(src, 'model');
    const tag = tagFor(model.manifest, 'sig');
    const before = await pushSample(dst, 'theirs');
    await dst.tag(before.manifest, tag);
    const after = await pushSample(src, 'ours');
    await src.tag(after.manifest, tag);
    await copy(src, model.manifest.digest, dst, ['v1'], { referrers: true, onEvent });
    expect((await dst.resolve(tag)).digest).toBe(after.manifest.digest);
    expect(warnings).toEqual([expect.stringContaining(`it was ${before.manifest.digest}`)]);
  });

  test('is an error when it is damaged', async () => {
    const model = await pushSample(src, 'model');
    const bytes = Buffer.from('{');
    const broken = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
    await src.push(broken, bytesSource(bytes)).catch(() => undefined);
    const from: ReadTarget = {
      ...listing(() => []),
      resolve: async (reference) => (reference.endsWith('.sig') ? broken : await src.resolve(reference)),
    };
    await expect(copy(from, model.manifest.digest, dst, ['v1'], { referrers: true })).rejects.toMatchObject({ origin: 'source' });
    await expect(dst.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });
});
