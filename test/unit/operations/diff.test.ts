import { expect, test } from 'vitest';
import { diff, type DiffArguments, type DiffResult } from '../../../src/operations/diff/diff.ts';
import type { DiffSide } from '../../../src/operations/diff/sides.ts';
import type { Kit } from '../../../src/operations/kit.ts';
import type { Location } from '../../../src/oci/reference.ts';
import { blobTraffic, openRegistry, publish } from './remote-artifact.ts';
import { workspace } from './sandbox.ts';

const MIB = 1024 * 1024;
const KITFILE =
  'manifestVersion: 1.0.0\npackage:\n  version: 1.0.0\nmodel:\n  path: weights\n  parameters:\n    lr: 1\ndocs:\n  - path: README.md\n';
const OLD = {
  Kitfile: KITFILE,
  'weights/a.bin': Buffer.alloc(3 * MIB, 'a'),
  'weights/config.json': '{"a":1}',
  'weights/old.txt': 'old',
  'weights/same.txt': 'same',
  'README.md': 'read me',
};
const NEW = {
  Kitfile: KITFILE.replace('1.0.0\nmodel', '1.1.0\nmodel').replace('lr: 1', 'lr: 12345678901234567890'),
  'weights/a.bin': Buffer.alloc(3 * MIB, 'b'),
  'weights/config.json': '{"a":2}',
  'weights/new.txt': 'new one',
  'weights/same.txt': 'same',
  'README.md': 'read me',
};

/** Of two artifacts. */
async function compare(kit: Kit, args: DiffArguments): Promise<DiffResult> {
  const result = await diff(kit, args);
  if ('members' in result) throw new Error('these are indexes');
  return result;
}

const side = (location: Location): DiffSide => ({ location, lookup: 'local-first' });

test('two versions in a registry: Kitfile, layers, and files by the headers of the layers that differ', async () => {
  const registry = await openRegistry();
  const [a, b] = [await publish(registry, 'm:v1', OLD), await publish(registry, 'm:v2', NEW)].map(side) as [DiffSide, DiffSide];
  const result = await compare(workspace().kit, { a, b, files: true });
  expect(result).toMatchObject({ identical: false, sameConfig: false });
  expect([result.shared.length, result.onlyA.length, result.onlyB.length]).toEqual([1, 1, 1]);
  expect(result.kitfile).toEqual(
    expect.arrayContaining([
      { field: 'package.version', before: '"1.0.0"', after: '"1.1.0"' },
      { field: 'model.parameters.lr', before: '1', after: '12345678901234567890' },
    ]),
  );
  const { added, removed, changed, undecided } = result.files ?? { added: [], removed: [], changed: [], undecided: [] };
  expect(added.map(({ path }) => path)).toEqual(['weights/new.txt']);
  expect(removed.map(({ path }) => path)).toEqual(['weights/old.txt']);
  // of one size, but small enough to be looked at
  expect(changed.map((change) => change.a.path)).toEqual(['weights/config.json']);
  // what headers do not tell
  expect(undecided).toEqual(['weights/a.bin']);
  const traffic = blobTraffic(registry);
  // the two configs; of the layer that both have nothing
  expect(traffic.whole).toBe(2);
  expect(traffic.ranges).toBe(4);
  expect(traffic.bytes).toBeLessThan(300 * 1024);
});

test('files that are layers are compared by their digests, for nothing', async () => {
  const registry = await openRegistry();
  const format = { format: 'modelpack' } as const;
  const [a, b] = [await publish(registry, 'm:v1', OLD, format), await publish(registry, 'm:v2', NEW, format)].map(side) as [
    DiffSide,
    DiffSide,
  ];
  const { files } = await compare(workspace().kit, { a, b, files: true });
  expect(files?.changed.map((change) => change.a.path)).toEqual(['weights/a.bin', 'weights/config.json']);
  expect([files?.undecided, files?.read]).toEqual([[], 0]);
  expect(blobTraffic(registry)).toEqual({ ranges: 0, bytes: 0, whole: 2 });
});

test('a file of another name with the same content is noticed', async () => {
  const registry = await openRegistry();
  const format = { format: 'modelpack' } as const;
  const renamed = { Kitfile: KITFILE, 'weights/b.bin': OLD['weights/a.bin'], 'README.md': 'read me' };
  const before = { Kitfile: KITFILE, 'weights/a.bin': OLD['weights/a.bin'], 'README.md': 'read me' };
  const [a, b] = [await publish(registry, 'm:v1', before, format), await publish(registry, 'm:v2', renamed, format)].map(side) as [
    DiffSide,
    DiffSide,
  ];
  const { files } = await compare(workspace().kit, { a, b, files: true });
  expect([files?.removed[0]?.path, files?.added[0]?.path]).toEqual(['weights/a.bin', 'weights/b.bin']);
});

test('the same artifact under two names is identical, and says nothing more', async () => {
  const registry = await openRegistry();
  const [a, b] = [await publish(registry, 'm:v1', OLD), await publish(registry, 'other:v1', OLD)].map(side) as [DiffSide, DiffSide];
  const result = await compare(workspace().kit, { a, b });
  expect(result).toMatchObject({ identical: true, sameConfig: true, onlyA: [], onlyB: [] });
  expect([result.kitfile, result.files]).toEqual([undefined, undefined]);
});

test('a base ModelKit that is not there is missed only where its files are compared', async () => {
  const registry = await openRegistry();
  const tuned = {
    Kitfile: `manifestVersion: 1.0.0\nmodel:\n  path: ${registry.host}/base:v1\ndocs:\n  - path: README.md\n`,
    'README.md': 'x',
  };
  await publish(registry, 'base:v1', OLD);
  const [a, b] = [await publish(registry, 'm:v1', tuned), await publish(registry, 'm:v2', { ...tuned, 'README.md': 'y' })].map(side) as [
    DiffSide,
    DiffSide,
  ];
  const { files } = await compare(workspace().kit, { a, b, files: true });
  // the base is in both
  expect([files?.changed.map((change) => change.a.path), files?.undecided]).toEqual([['README.md'], []]);
  registry.storage.repository('base').tags.clear();
  expect(await compare(workspace().kit, { a, b })).toMatchObject({ identical: false });
  await expect(compare(workspace().kit, { a, b, files: true })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
});
