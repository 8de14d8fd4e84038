import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { KitError } from '../../../src/errors.ts';
import type { KitEvent } from '../../../src/events.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { isManifestLike, MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { copy, planCopy } from '../../../src/targets/copy.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { MemoryTarget } from '../../../src/targets/memory.ts';
import { openStore } from '../../../src/targets/store.ts';
import type { ReadTarget, Target } from '../../../src/targets/types.ts';
import { pushIndex, pushSample } from './sample.ts';

type Call = 'has' | 'fetch' | 'resolve' | 'push' | 'tag';

/** Notes every call; `before` may delay or break it. */
function spied(target: Target, before: (call: Call, blob: Descriptor | string) => Promise<void> = async () => await Promise.resolve()) {
  const calls: string[] = [];
  let inFlight = 0;
  const state = {
    calls,
    most: 0,
    get inFlight() {
      return inFlight;
    },
  };
  async function note<T>(call: Call, subject: Descriptor | string, work: () => Promise<T>): Promise<T> {
    calls.push(`${call} ${typeof subject === 'string' ? subject : subject.digest}`);
    inFlight += 1;
    if (call === 'push') state.most = Math.max(state.most, inFlight);
    try {
      await before(call, subject);
      return await work();
    } finally {
      inFlight -= 1;
    }
  }
  const spy: Target = {
    name: target.name,
    can: target.can,
    has: async (blob, options) => await note('has', blob, async () => await target.has(blob, options)),
    fetch: async (blob, options) => await note('fetch', blob, async () => await target.fetch(blob, options)),
    resolve: async (reference, options) => await note('resolve', reference, async () => await target.resolve(reference, options)),
    push: async (blob, source, options) => {
      await note('push', blob, async () => {
        await target.push(blob, source, options);
      });
    },
    tag: async (manifest, reference, options) => {
      await note('tag', reference, async () => {
        await target.tag(manifest, reference, options);
      });
    },
  };
  return { target: spy, state };
}

async function slow(call: Call): Promise<void> {
  if (call === 'push') await delay(2);
}

/** Breaks one kind of call, for all blobs or those chosen. */
function fail(at: Call, only?: (blob: Descriptor) => boolean) {
  return async (call: Call, blob: Descriptor | string): Promise<void> => {
    if (call === at && (only === undefined || (typeof blob !== 'string' && only(blob))))
      throw await Promise.resolve(new KitError('DENIED', 'no', { hint: 'ask' }));
  };
}

let directory: string;
let src: MemoryTarget;
let dst: MemoryTarget;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ocikit-copy-'));
  src = new MemoryTarget('source');
  dst = new MemoryTarget('destination');
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

test('an artifact arrives whole, under its tags', async () => {
  const { manifest, config, layers } = await pushSample(src, 'a', { layers: ['one', 'two'] });
  await src.tag(manifest, 'v1');
  expect(await copy(src, 'v1', dst, ['v1', 'latest'])).toEqual(manifest);
  for (const blob of [config, ...layers]) expect(await dst.has(blob)).toBe(true);
  for (const tag of ['v1', 'latest']) expect(await dst.resolve(tag)).toEqual(manifest);
});

test('without tags it is there by its digest', async () => {
  const { manifest } = await pushSample(src, 'a');
  await copy(src, manifest.digest, dst, []);
  expect(await dst.resolve(manifest.digest)).toEqual(manifest);
});

test('the manifest comes last, each blob is read once, a layer that is there twice moves once', async () => {
  const { manifest, config, layers } = await pushSample(src, 'a', { layers: ['same', 'same', 'other'] });
  const from = spied(src);
  const to = spied(dst);
  await copy(from.target, manifest.digest, to.target, ['v1']);
  const pushed = to.state.calls.filter((call) => call.startsWith('push'));
  expect(pushed.toSorted()).toEqual([manifest, config, layers[0], layers[2]].map((blob) => `push ${blob?.digest}`).toSorted());
  expect(pushed.at(-1)).toBe(`push ${manifest.digest}`);
  expect(to.state.calls.at(-1)).toBe('tag v1');
  const fetched = from.state.calls.filter((call) => call.startsWith('fetch'));
  expect(new Set(fetched).size).toBe(fetched.length);
});

test('what is there already is asked for, and not sent', async () => {
  const sample = await pushSample(src, 'a', { layers: ['one', 'two'] });
  await pushSample(dst, 'b', { layers: ['one'] });
  const events: KitEvent[] = [];
  const to = spied(dst);
  await copy(src, sample.manifest.digest, to.target, [], { onEvent: (event) => events.push(event) });
  const outcomes = new Map(events.flatMap((event) => (event.type === 'done' ? [[event.id, event.outcome]] : [])));
  expect(sample.layers.map(({ digest }) => outcomes.get(digest))).toEqual(['exists', 'copied']);
  expect(to.state.calls).not.toContain(`push ${sample.layers[0]?.digest}`);
});

test('events count every byte once', async () => {
  const big = Buffer.alloc(3_000_000, 7);
  const { manifest, config, layers } = await pushSample(src, 'a', { layers: [big, 'two'] });
  const layout = await openLayout(join(directory, 'l'), { create: true });
  const events: KitEvent[] = [];
  await copy(src, manifest.digest, layout, [], { action: 'pull', onEvent: (event) => events.push(event) });
  for (const blob of [manifest, config, ...layers]) {
    const mine = events.filter((event) => 'id' in event && event.id === blob.digest);
    expect(mine[0]).toMatchObject({ type: 'blob', action: 'pull', total: blob.size });
    expect(mine.at(-1)).toMatchObject({ type: 'done', outcome: 'copied' });
    expect(mine.reduce((sum, event) => sum + (event.type === 'bytes' ? event.delta : 0), 0)).toBe(blob.size);
  }
});

test('a resumed blob counts what was there, a restarted one takes it back', async () => {
  const { manifest, layers } = await pushSample(src, 'a', { layers: ['0123456789'] });
  const [layer] = layers as [Descriptor];
  const layout = await openLayout(join(directory, 'l'), { create: true });
  await pushSample(layout, 'makes ingest');
  await writeFile(join(directory, 'l/ingest', `sha256-${layer.digest.slice(7)}.partial`), '01x');
  const deltas: number[] = [];
  await copy(src, manifest.digest, layout, [], {
    onEvent: (event) => event.type === 'bytes' && event.id === layer.digest && deltas.push(event.delta),
  });
  expect(deltas).toEqual([3, 7, -10, 10]);
});

test('an index is copied with all its manifests', async () => {
  const [a, b] = [await pushSample(src, 'a', { layers: ['shared', 'a'] }), await pushSample(src, 'b', { layers: ['shared', 'b'] })];
  const inner = await pushIndex(src, [b.manifest]);
  const index = await pushIndex(src, [a.manifest, inner, a.manifest]);
  const from = spied(src);
  const to = spied(dst);
  await copy(from.target, index.digest, to.target, ['all']);
  const fetched = from.state.calls.filter((call) => call.startsWith('fetch'));
  expect(new Set(fetched).size).toBe(fetched.length);
  for (const blob of [index, inner, a.manifest, b.manifest, a.config, b.config, ...a.layers, ...b.layers])
    expect(await dst.has(blob)).toBe(true);
  const order = to.state.calls.filter((call) => call.startsWith('push')).map((call) => call.slice(5));
  const at = (blob: Descriptor): number => order.indexOf(blob.digest);
  expect(at(a.manifest)).toBeLessThan(at(index));
  expect(at(b.manifest)).toBeLessThan(at(inner));
  expect(at(inner)).toBeLessThan(at(index));
  expect(order.length).toBe(new Set(order).size);
});

test('a blob is mounted where the target can, from the first repository that has it', async () => {
  const { manifest, layers } = await pushSample(src, 'a', { layers: ['one', 'two'] });
  const asked: string[] = [];
  const mounting: Target = {
    name: 'registry',
    can: {
      mount: async (blob, repository) => {
        asked.push(`${repository} ${blob.digest}`);
        if (repository !== 'second' || blob.digest !== layers[0]?.digest) return false;
        await dst.push(blob, bytesSource(Buffer.from('one')));
        return true;
      },
    },
    has: async (blob) => await dst.has(blob),
    fetch: async (blob) => await dst.fetch(blob),
    resolve: async (reference) => await dst.resolve(reference),
    push: async (blob, source) => {
      await dst.push(blob, source);
    },
    tag: async (blob, reference) => {
      await dst.tag(blob, reference);
    },
  };
  const events: KitEvent[] = [];
  const mountFrom = async (blob: Descriptor): Promise<string[]> =>
    layers.includes(blob) || layers.some(({ digest }) => digest === blob.digest) ? ['first', 'second'] : [];
  await copy(src, manifest.digest, mounting, ['v1'], { mountFrom, onEvent: (event) => events.push(event) });
  expect(asked.filter((call) => call.endsWith(layers[0]?.digest ?? ''))).toEqual([
    `first ${layers[0]?.digest}`,
    `second ${layers[0]?.digest}`,
  ]);
  const outcome = (blob: Descriptor | undefined) => events.find((event) => event.type === 'done' && event.id === blob?.digest);
  expect(outcome(layers[0])).toMatchObject({ outcome: 'mounted' });
  expect(outcome(layers[1])).toMatchObject({ outcome: 'copied' });
  // without the capability nobody is asked
  await copy(src, manifest.digest, new MemoryTarget(), [], {
    mountFrom: () => {
      throw new Error('asked');
    },
  });
});

test('at most `concurrency` blobs move at a time', async () => {
  const { manifest } = await pushSample(src, 'a', { layers: Array.from({ length: 12 }, (_, index) => `layer ${index}`) });
  const three = spied(new MemoryTarget(), slow);
  await copy(src, manifest.digest, three.target, [], { concurrency: 3 });
  expect(three.state.most).toBe(3);
  const standard = spied(new MemoryTarget(), slow);
  await copy(src, manifest.digest, standard.target, []);
  expect(standard.state.most).toBe(5);
});

test('when one blob fails the others stop, and nothing happens after', async () => {
  const { manifest, layers } = await pushSample(src, 'a', { layers: Array.from({ length: 20 }, (_, index) => `layer ${index}`) });
  const bad = layers[3]?.digest;
  const to = spied(dst, async (call, blob) => {
    if (call !== 'push') return;
    if (typeof blob !== 'string' && blob.digest === bad) throw new KitError('NETWORK', 'the connection broke');
    await delay(5);
  });
  await expect(copy(src, manifest.digest, to.target, ['v1'])).rejects.toMatchObject({
    code: 'NETWORK',
    origin: 'destination',
    message: 'the connection broke',
  });
  expect(to.state.inFlight).toBe(0);
  const count = to.state.calls.length;
  await delay(20);
  expect(to.state.calls.length).toBe(count);
  expect(to.state.calls.filter((call) => call.startsWith('push')).length).toBeLessThan(10);
  expect(await dst.has(manifest)).toBe(false);
});

test('an abort stops it with its reason', async () => {
  const { manifest } = await pushSample(src, 'a', { layers: Array.from({ length: 20 }, (_, index) => `layer ${index}`) });
  const abort = new AbortController();
  const to = spied(dst, async (call) => {
    if (call === 'push') abort.abort(new Error('stopped by the user'));
    await delay(1);
  });
  await expect(copy(src, manifest.digest, to.target, ['v1'], { signal: abort.signal })).rejects.toThrow('stopped by the user');
  expect(to.state.inFlight).toBe(0);
  expect(to.state.calls.filter((call) => call.startsWith('push')).length).toBeLessThan(8);
  await expect(copy(src, manifest.digest, dst, [], { signal: abort.signal })).rejects.toThrow('stopped by the user');
});

test('errors say which side failed', async () => {
  const { manifest, layers } = await pushSample(src, 'a');
  const isLayer = (blob: Descriptor): boolean => blob.digest === layers[0]?.digest;
  const from = async (at: Call, only?: (blob: Descriptor) => boolean): Promise<void> => {
    await copy(spied(src, fail(at, only)).target, manifest.digest, dst, ['v1']);
  };
  for (const work of [from('resolve'), from('fetch'), from('fetch', isLayer)])
    await expect(work).rejects.toMatchObject({ origin: 'source', code: 'DENIED', hint: 'ask' });
  for (const at of ['has', 'push', 'tag'] as const) {
    const work = copy(src, manifest.digest, spied(new MemoryTarget(), fail(at)).target, ['v1']);
    await expect(work).rejects.toMatchObject({ origin: 'destination', code: 'DENIED', hint: 'ask' });
  }
});

test('content that is not what the manifest says is the fault of the source, and does not arrive', async () => {
  const layout = await openLayout(join(directory, 'l'), { create: true });
  const { manifest, layers } = await pushSample(layout, 'a');
  const [layer] = layers as [Descriptor];
  await writeFile(layout.can.localPath?.(layer) ?? '', 'LAYER of a');
  await expect(copy(layout, manifest.digest, dst, ['v1'])).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', origin: 'source' });
  expect(await dst.has(manifest)).toBe(false);
  await writeFile(layout.can.localPath?.(layer) ?? '', 'short');
  await expect(copy(layout, manifest.digest, dst, ['v1'])).rejects.toMatchObject({ code: 'SIZE_MISMATCH', origin: 'source' });
  await rm(layout.can.localPath?.(layer) ?? '');
  await expect(copy(layout, manifest.digest, dst, ['v1'])).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND', origin: 'source' });
});

test('a manifest that is too large is refused before it is read', async () => {
  const from = spied(src);
  const huge: Descriptor = { ...describe(MEDIA_TYPE.imageManifest, Buffer.from('x')), size: 5 * 1024 * 1024 };
  await expect(planCopy(from.target, [huge])).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(from.state.calls).toEqual([]);
});

test('a blob of two sizes contradicts itself', async () => {
  const config = describe('text/plain', Buffer.from('x'));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [{ ...config, size: 2 }] }));
  const manifest = describe(MEDIA_TYPE.imageManifest, bytes);
  await src.push(manifest, bytesSource(bytes));
  await expect(copy(src, manifest.digest, dst, [])).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
});

test('indexes that nest too deep are refused', async () => {
  let { manifest: root } = await pushSample(src, 'a');
  for (let depth = 0; depth < 20; depth += 1) root = await pushIndex(src, [root]);
  await expect(copy(src, root.digest, dst, [])).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
});

test('what is neither manifest nor index is refused, not sent as a blob', async () => {
  const from: ReadTarget = {
    ...spied(src).target,
    resolve: async () => await Promise.resolve(describe('application/x.other', Buffer.from('x'))),
  };
  await expect(copy(from, 'v1', dst, ['v1'])).rejects.toMatchObject({ code: 'UNSUPPORTED', origin: 'source' });
});

test('copying into the store repairs a blob that was damaged there', async () => {
  const { manifest, layers } = await pushSample(src, 'a', { layers: ['precious'] });
  const store = await openStore(directory);
  await copy(src, manifest.digest, store.repository('tiny'), ['v1']);
  const [layer] = layers as [Descriptor];
  await writeFile(store.blobs.pathOf(layer.digest), 'precioux');
  const warnings: string[] = [];
  await copy(src, manifest.digest, store.repository('tiny'), ['v1'], {
    onEvent: (event) => event.type === 'warning' && warnings.push(event.code),
  });
  expect(warnings).toEqual(['STORE_BLOB_DAMAGED']);
  expect(Buffer.concat(await Array.fromAsync(await store.blobs.fetch(layer))).toString()).toBe('precious');
});

test('a copy into the store holds a lease, and gives it back also when it fails', async () => {
  const { manifest } = await pushSample(src, 'a');
  const store = await openStore(directory);
  const leases = async (): Promise<string[]> => await readdir(join(store.storage, 'leases')).catch(() => []);
  const seen: number[] = [];
  const from = spied(src, async (call, blob) => {
    if (call === 'fetch' && typeof blob !== 'string' && !isManifestLike(blob.mediaType)) seen.push((await leases()).length);
  });
  await copy(from.target, manifest.digest, store.repository('tiny'), ['v1']);
  expect(seen).toEqual([1, 1]);
  expect(await leases()).toEqual([]);
  await expect(copy(src, 'unknown', store.repository('tiny'), [])).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND', origin: 'source' });
  const broken = spied(await pushSample(src, 'b').then(() => src), async (call, blob) => {
    if (call === 'fetch' && typeof blob !== 'string' && !isManifestLike(blob.mediaType))
      throw await Promise.resolve(new KitError('NETWORK', 'x'));
  });
  const { manifest: other } = await pushSample(src, 'c');
  await expect(copy(broken.target, other.digest, store.repository('tiny'), ['v2'])).rejects.toMatchObject({ code: 'NETWORK' });
  expect(await leases()).toEqual([]);
});
