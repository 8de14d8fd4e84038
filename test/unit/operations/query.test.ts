import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { parseLocation, sign } from '../../../src/index.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { coveredTags, coversRepository, parseScope } from '../../../src/operations/query/scope.ts';
import { parseSort, sortDocuments } from '../../../src/operations/query/sort.ts';
import { putModel, startFleet } from '../catalog/fleet.ts';
import { makeKey } from '../signing/operations-setup.ts';

const ALL = ['deep/er/b:v1', 'team/a:latest', 'team/a:v1', 'team/o:v1', 'team/weights:v1'];

describe('a crawl', () => {
  test('finds models of all formats, and says what it skipped', async () => {
    const { ask, find, warnings } = await startFleet();
    expect((await find('true')).filter((name) => !name.startsWith('team/variants@'))).toEqual(ALL);
    const { looked, matches } = await ask('model.parameters.accuracy > 0.95');
    expect(matches).toBe(2);
    // an image and a signature; the model whose config is missing
    expect(looked).toEqual({ models: 7, others: 2, unreadable: 1 });
    expect(warnings().filter((text) => text.startsWith('HOST/apps/broken:v1 is left out'))).toHaveLength(2);
  });

  test('reads manifests and configs once, by digest', async () => {
    const { registry, find } = await startFleet();
    await find('true');
    const first = registry.log();
    expect(first.filter((line) => line.includes('/blobs/'))).toHaveLength(8);
    registry.clear();
    await find('model.license == "MIT"');
    const again = registry.log();
    // only what is broken is tried again
    expect(again.filter((line) => line.startsWith('GET') && /manifests|blobs/.test(line) && !line.includes('apps/broken'))).toEqual([]);
    expect(again.filter((line) => line.startsWith('HEAD'))).toHaveLength(9);
  });

  test('takes repositories, tags, digests and patterns', async () => {
    const { registry, find, ask } = await startFleet();
    const at = async (...references: string[]) => await find('true', { references: references.map((one) => `${registry.host}/${one}`) });
    expect(await at('team/a')).toEqual(['team/a:latest', 'team/a:v1']);
    expect(await at('team/a:v2')).toEqual(['team/a:v2']);
    expect(await at('team/*:v1')).toEqual(expect.arrayContaining(['team/a:v1', 'team/o:v1']));
    expect(await at('deep/**', 'team/o')).toEqual(['deep/er/b:v1', 'team/o:v1']);
    const [old] = (await ask('package.version == "1.9.0"')).models;
    expect(await at(`team/a@${old?.['digest'] as string}`)).toEqual([`team/a@${old?.['digest'] as string}`]);
    await expect(at('team/nothing')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(at('team/a:v9')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(at('nobody/*')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND', hint: expect.stringContaining('**') as string });
  });

  test('follows an index to its members', async () => {
    const { find, ask } = await startFleet();
    const found = await ask('index.annotations.quantization == "Q4"');
    expect(found.models).toMatchObject([
      { tags: ['v1'], model: { parameters: { quantization: 'Q4' } }, index: { annotations: { quantization: 'Q4' } } },
    ]);
    expect(await find('index')).toHaveLength(2);
    const labelled = await ask('index.labels.quantization == "Q8" && index.labels["vram-gb"] <= 6');
    expect(labelled.models).toMatchObject([
      { index: { labels: { quantization: 'Q8', 'vram-gb': 6 }, annotations: { quantization: 'Q8' } } },
    ]);
  });

  test('what nobody has is said, with the name that was meant', async () => {
    const { find, warnings } = await startFleet();
    expect(await find('model.parameters.acuracy > 0')).toEqual([]);
    expect(warnings()).toContain('no model has the field `model.parameters.acuracy`; there is `accuracy`');
  });

  test('headers of weights are read only when they are asked for', async () => {
    const { registry, find, ask } = await startFleet();
    expect(await find('tensors.count == 3 && "BF16" in tensors.dtypes[*].dtype || tensors.dtypes[*].dtype == "F64"')).toEqual([]);
    const { models } = await ask('tensors.count == 3', { references: [`${registry.host}/team/*`] });
    expect(models).toMatchObject([
      { tensors: { parameters: 12, formats: ['safetensors'], quantization: 'BF16', memory: { weights: 24 } } },
    ]);
    registry.clear();
    // known by now, but not part of an answer that does not ask
    expect((await ask('package.name == "weights"')).models[0]).not.toHaveProperty('tensors');
    expect(registry.log().filter((line) => line.includes('/blobs/')).length).toBeLessThanOrEqual(1);
    expect((await ask('package.name == "weights"', { fields: ['tensors.count'] })).models[0]).toHaveProperty('tensors');
  });

  test('signatures are looked for only when they are asked for', async () => {
    const { registry, work, find, ask } = await startFleet();
    await sign(work.kit, { location: parseLocation(`${registry.host}/team/a:v1`), signer: makeKey().signer });
    registry.clear();
    await find('true');
    expect(registry.log().filter((line) => line.includes('referrers'))).toEqual([]);
    const { models } = await ask('signatures.present');
    expect(models).toMatchObject([{ tags: ['v1'], signatures: { count: 1, identities: [], attestations: 0 } }]);
  });
});

describe('a catalog', () => {
  test('answers as a crawl does, and asks no registry', async () => {
    const { registry, work, ask, sync } = await startFleet();
    const catalog = work.path('catalog.db');
    await sync({ references: [registry.host], database: catalog, tensors: true, signatures: true });
    const host = registry.host;
    for (const [expression, more] of [
      ['true', {}],
      ['model.parameters.accuracy > 0.95', { sort: ['model.parameters.accuracy:desc'], limit: 1 }],
      ['model.license != "MIT" && !index', { sort: ['package.version'] }],
      ['index.labels.quantization =~ "^Q"', { sort: ['index.labels.quantization:desc'] }],
      ['$.datasets[?@.name == "y"]', {}],
      ['tensors.parameters > 1 || signatures.present', {}],
      ['"latest" in tags', { references: [`${host}/team/*`] }],
      ['annotations.run == 7', { references: [`${host}/team/a:v1`, `${host}/team/a:v2`] }],
      ['customProperties.f1 < 1', { references: [`${host}/**`] }],
    ] as const) {
      const live = await ask(expression, more);
      registry.clear();
      const kept = await ask(expression, { ...more, catalog });
      expect(registry.requests).toEqual([]);
      expect(kept).toEqual({ ...live, looked: undefined });
    }
  });

  test('follows what changes: tags that move, go and come', async () => {
    const { registry, work, find, sync } = await startFleet();
    const catalog = work.path('catalog.db');
    const references = [`${registry.host}/team/*`];
    const first = await sync({ references, database: catalog });
    expect(first).toMatchObject({ repositories: 4, read: 5, tags: { added: 6, moved: 0, removed: 0, unchanged: 0 }, models: 6 });
    registry.clear();
    // what to look at is known from the last time
    expect(await sync({ database: catalog })).toMatchObject({ read: 0, tags: { added: 0, moved: 0, removed: 0, unchanged: 6 } });
    expect(registry.log().filter((line) => line.startsWith('GET') && /manifests|blobs/.test(line))).toEqual([]);
    await putModel(registry, 'team/a:latest', { model: { name: 'm', path: 'w', parameters: { accuracy: 0.999 } } });
    const { tags } = registry.storage.repository('team/a');
    tags.delete('v1');
    registry.storage.repository('team/o').tags.clear();
    expect(await sync({ database: catalog })).toMatchObject({ read: 1, tags: { added: 0, moved: 1, removed: 2, unchanged: 3 }, models: 5 });
    expect(await find('model.parameters.accuracy > 0', { catalog, sort: ['model.parameters.accuracy'] })).toEqual([
      'team/a:v2',
      'team/a:latest',
    ]);
  });

  test('goes on after it was killed: what was read is not read again', async () => {
    const { registry, work, find, sync } = await startFleet();
    const catalog = work.path('catalog.db');
    const missing = registry.storage.repository('team/o').manifests;
    const references = [`${registry.host}/team/o`, `${registry.host}/team/a`, `${registry.host}/gone/repository`];
    // the last one is an error, so that no tag of it counts; those before are there
    await expect(sync({ references, database: catalog })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(missing.size).toBe(1);
    registry.clear();
    expect(await sync({ references: references.slice(0, 2), database: catalog })).toMatchObject({ read: 0 });
    expect(await find('true', { catalog })).toEqual(['team/a:latest', 'team/a:v1', 'team/o:v1']);
  });

  test('says what nobody has as a crawl does, of what a place knows too', async () => {
    const { registry, work, find, sync, warnings } = await startFleet();
    const catalog = work.path('catalog.db');
    await sync({ references: [registry.host], database: catalog });
    const before = warnings().length;
    expect(await find('index.labels.quantization == "Q2"', { catalog })).toEqual([]);
    expect(await find('index.labels.quantisation == "Q4"', { catalog })).toEqual([]);
    expect(warnings().slice(before)).toEqual(['no model has the field `index.labels.quantisation`; there is `quantization`']);
  });

  test('two at once do the work of one', async () => {
    const { registry, work, find, sync } = await startFleet();
    const args = { references: [registry.host], database: work.path('catalog.db') };
    const results = await Promise.all([sync(args), sync(args)]);
    expect(results.map(({ tags }) => tags.added).toSorted((a, b) => a - b)).toEqual([0, 9]);
    expect(await find('"v1" in tags && !index', { catalog: args.database })).toEqual([
      'deep/er/b:v1',
      'team/a:v1',
      'team/o:v1',
      'team/weights:v1',
    ]);
  });

  test('says what it was written without', async () => {
    const { registry, work, find, sync } = await startFleet();
    const catalog = work.path('catalog.db');
    await sync({ references: [`${registry.host}/team/weights`], database: catalog });
    const asked = find('tensors.count > 0', { catalog });
    await expect(asked).rejects.toMatchObject({ code: 'CATALOG_INVALID', hint: expect.stringContaining('--tensors') as string });
    await sync({ database: catalog, tensors: true });
    expect(await find('tensors.count > 0', { catalog })).toEqual(['team/weights:v1']);
    // and stays so
    await sync({ database: catalog });
    expect(await find('tensors.count > 0', { catalog })).toEqual(['team/weights:v1']);
  });

  test('needs to be told what is to be in it, and holds registries only', async () => {
    const { sync, work } = await startFleet();
    await expect(sync({})).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    await expect(sync({ references: ['mymodel'] })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(sync({ references: [`reg.example/m@${digestOf(Buffer.alloc(0))}`] })).rejects.toMatchObject({ code: 'USAGE' });
    expect(work.events).toEqual([]);
  });

  test('holds nothing that is secret', async () => {
    const { registry, work, sync } = await startFleet();
    const path = join(work.home, 'catalog.db');
    await sync({ references: [`${registry.host}/team/a`] });
    const database = new DatabaseSync(path, { readOnly: true });
    const columns = database
      .prepare("SELECT name FROM pragma_table_info('kit_scopes')")
      .all()
      .map(({ name }) => name);
    expect(columns).toEqual(['scope', 'tensors', 'signatures', 'synced']);
    database.close();
  });
});

describe('what is looked at', () => {
  test.each([
    ['ghcr.io', 'registry'],
    ['localhost:5000', 'registry'],
    ['registry/', 'registry'],
    ['10.0.0.1:5000', 'registry'],
    ['ghcr.io/team/*', 'registry'],
    ['ghcr.io/team/m:v1', 'registry'],
    ['model:5000', 'local'],
    ['team/*', 'local'],
    ['oci:./layout:v1', 'layout'],
  ])('%s', (text, type) => {
    expect(parseScope(text).type).toBe(type);
  });

  test.each(['oci-archive:x.tar', 'GHCR/x*/y z', 'ghcr.io/*@sha256:x', '*.io/team/*', 'ghcr.io/Team'])('not %s', (text) => {
    expect(() => parseScope(text)).toThrow(expect.objectContaining({ code: 'REFERENCE_INVALID' }) as Error);
  });

  test('patterns end at a slash, or not', () => {
    const one = parseScope('reg.example/team/*');
    expect(['reg.example/team/a', 'reg.example/team/a/b', 'other.example/team/a'].map((name) => coversRepository(one, name))).toEqual([
      true,
      false,
      false,
    ]);
    expect(coversRepository(parseScope('reg.example/**'), 'reg.example/team/a/b')).toBe(true);
    expect(coveredTags(parseScope('reg.example/team/*:v1'), ['v1', 'v2'], [])).toEqual(['v1']);
    expect(coveredTags(parseScope('reg.example/team/*:v3'), ['v1', 'v2'], [])).toBeUndefined();
  });
});

function versioned(value: unknown, reference: string): object {
  return { reference, digest: '', package: { version: value } };
}

test('order: numbers, then texts with their numbers, then what has none, in both directions', () => {
  const documents = [
    versioned('1.10.0', 'a'),
    versioned(undefined, 'b'),
    versioned(2, 'c'),
    versioned('1.9.0', 'd'),
    versioned(10, 'e'),
    versioned('1.9.0', 'aa'),
  ];
  const sorted = (key: string) => sortDocuments(documents as never, [parseSort(key)]).map(({ reference }) => reference);
  expect(sorted('package.version')).toEqual(['c', 'e', 'aa', 'd', 'a', 'b']);
  expect(sorted('package.version:desc')).toEqual(['e', 'c', 'a', 'aa', 'd', 'b']);
});

test('local storage is the default', async () => {
  const { registry, work, find, ask } = await startFleet();
  const { pull } = await import('../../../src/index.ts');
  await pull(work.kit, parseLocation(`${registry.host}/team/a:v1`));
  registry.clear();
  expect(await find('model.parameters.accuracy == 0.9', { references: [] })).toEqual(['team/a:v1']);
  expect(await find('true', { references: ['127.*/**'] }).catch((error: Error) => error.message)).toContain('pattern');
  expect((await ask('true', { references: [] })).looked).toEqual({ models: 1, others: 0, unreadable: 0 });
  expect(registry.requests).toEqual([]);
});

test.each(['size:up', 'size:', 'size:desc:desc'])('no order: %s', (text) => {
  expect(() => parseSort(text)).toThrow(expect.objectContaining({ code: 'USAGE', hint: expect.stringContaining('FIELD:desc') as string }));
});
