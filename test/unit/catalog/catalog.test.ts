import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import { documentText, parseDocument } from '../../../src/catalog/document.ts';
import { openCache, openCatalogAt } from '../../../src/catalog/open-catalog.ts';
import { parseExpression } from '../../../src/catalog/parse-expression.ts';
import { sqlFilter } from '../../../src/catalog/sql-filter.ts';
import { aModel, anExpression, answers, contentsOf, digestOfNumber, REPOSITORY } from './catalog-models.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'kit-catalog-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function opened(path = join(folder(), 'catalog.db')): Promise<Catalog> {
  const catalog = await openCatalogAt(path, 'create');
  onTestFinished(async () => await catalog.close());
  return catalog;
}

test('SQLite lets through all that fulfils an expression', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(aModel, { maxLength: 6 }),
      fc.array(anExpression, { minLength: 1, maxLength: 5 }),
      async (models, expressions) => {
        const catalog = await openCache(':memory:');
        try {
          const { contents, tags } = contentsOf(models);
          await catalog.add(contents);
          await catalog.changeTags(REPOSITORY, tags, []);
          for (const text of expressions) {
            const { filtered, plain } = await answers(catalog, text);
            expect(filtered).toEqual(plain);
          }
        } finally {
          await catalog.close();
        }
      },
    ),
    { numRuns: 60 },
  );
});

function filter(text: string): ReturnType<typeof sqlFilter> {
  return sqlFilter(parseExpression(text).expression, 'sqlite');
}

test('the database does the work where it can', () => {
  expect(filter('model.parameters.accuracy > 0.95')?.parameters[0]).toBe('$."model"."parameters"."accuracy"');
  expect(filter('model.name == "x" && "v1" in tags')?.sql).toContain('json_extract');
  // what only a place knows, and what is denied, cannot be asked of the content
  for (const text of ['"v1" in tags', 'repository == "x"', '!model.name', 'model.name == "x" || !package', 'model.parameters[*] == 1'])
    expect(filter(text)).toBeUndefined();
});

describe('a catalog', () => {
  const { contents } = contentsOf([
    { name: 'MIT', parameters: {}, tags: [] },
    { name: '1', parameters: {}, tags: [] },
  ]);
  const [first, second] = [digestOfNumber(0), digestOfNumber(1)];

  test('forgets what no tag leads to', async () => {
    const catalog = await opened();
    await catalog.add(contents);
    await catalog.changeTags(
      REPOSITORY,
      new Map([
        ['a', first],
        ['b', second],
      ]),
      [],
    );
    await catalog.setSignatures([{ repository: REPOSITORY, digest: second, document: '{}' }]);
    await catalog.changeTags(REPOSITORY, new Map([['a', first]]), ['b']);
    await catalog.sweep();
    expect(await catalog.known([first, second], false)).toEqual(new Set([first]));
    expect(await catalog.count()).toEqual({ tags: 1, repositories: 1, artifacts: 1, models: 1 });
  });

  test('adds tensors to what is known without them, and keeps them', async () => {
    const catalog = await opened();
    const [content] = contents;
    if (content === undefined) throw new Error('no content');
    await catalog.add([content]);
    expect(await catalog.known([first], true)).toEqual(new Set());
    await catalog.add([{ ...content, members: content.members.map((member) => ({ ...member, tensors: '{"count":7}' })) }]);
    expect(await catalog.known([first], true)).toEqual(new Set([first]));
    await catalog.add([content]);
    expect((await catalog.contents([first])).get(first)).toMatchObject([{ tensors: '{"count":7}' }]);
    await catalog.changeTags(REPOSITORY, new Map([['a', first]]), []);
    const { expression } = parseExpression('tensors.count > 6');
    const pages = await Array.fromAsync(catalog.candidates((at) => sqlFilter(expression, 'sqlite', at)));
    expect(pages).toMatchObject([[{ digest: first, tags: ['a'] }]]);
  });

  test('has more than one page', async () => {
    const catalog = await opened();
    const [content] = contents;
    const member = content?.members[0];
    if (member === undefined) throw new Error('no content');
    const many = Array.from({ length: 2001 }, (_, number) => digestOfNumber(number));
    await catalog.add(many.map((target) => ({ target, members: [{ ...member, digest: target }] })));
    await catalog.changeTags(REPOSITORY, new Map(many.map((target, number) => [`t${number}`, target])), []);
    const pages = await Array.fromAsync(catalog.candidates(() => undefined));
    expect(pages.map((page) => page.length)).toEqual([2000, 1]);
    expect(new Set(pages.flat().map(({ digest }) => digest)).size).toBe(2001);
  });

  test('is its owner’s alone', async () => {
    const path = join(folder(), 'catalog.db');
    await opened(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });
});

describe('what is refused', () => {
  test('a catalog of another version', async () => {
    const path = join(folder(), 'catalog.db');
    await (await openCatalogAt(path, 'create')).close();
    for (const [version, hint] of [
      [3, 'newer kit'],
      [1, 'kit catalog sync'],
    ] as const) {
      const database = new DatabaseSync(path);
      database.exec(`UPDATE kit_catalog SET version = ${version}`);
      database.close();
      const refused = openCatalogAt(path, 'create');
      await expect(refused).rejects.toMatchObject({ code: 'CATALOG_INVALID', hint: expect.stringContaining(hint) as string });
    }
  });

  test('the database of another program, and what is none', async () => {
    const path = join(folder(), 'other.db');
    const database = new DatabaseSync(path);
    database.exec('CREATE TABLE bookmarks (url TEXT)');
    database.close();
    await expect(openCatalogAt(path, 'create')).rejects.toMatchObject({ code: 'CATALOG_INVALID' });
    writeFileSync(path, 'not a database, but long enough for SQLite to look at its beginning');
    await expect(openCatalogAt(path, 'read')).rejects.toMatchObject({ code: 'CATALOG_INVALID' });
  });

  test('what is not there', async () => {
    const path = join(folder(), 'none', 'catalog.db');
    await expect(openCatalogAt(path, 'read')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    await expect(openCatalogAt(path, 'create')).rejects.toMatchObject({ code: 'IO_FAILED' });
    await expect(openCatalogAt('mysql://root:secret@host/db', 'read')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.not.stringContaining('secret') as string,
    });
  });
});

test('a cache that is of no use begins anew', async () => {
  const path = join(folder(), 'cache', 'query.db');
  await (await openCache(path)).close();
  writeFileSync(path, 'rubbish that is no database at all, and some more of it to fill the header of the file');
  const cache = await openCache(path);
  onTestFinished(async () => await cache.close());
  expect(await cache.count()).toMatchObject({ artifacts: 0 });
});

describe('documents', () => {
  test('hold what every database takes', () => {
    const text = documentText(
      { a: 'x\0y', b: '\uD800', c: Number.POSITIVE_INFINITY, d: new Map([['__proto__', 2n ** 70n]]), e: undefined },
      'm',
    );
    expect(text).toBe('{"a":"x\uFFFDy","b":"\uFFFD","c":null,"d":{"__proto__":1180591620717411303424}}');
    expect(Object.keys(parseDocument(text)['d'] as object)).toEqual(['__proto__']);
  });

  test('have bounds', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 200; level++) deep = [deep];
    expect(() => documentText({ deep }, 'm')).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }) as Error);
    expect(() => documentText({ long: 'x'.repeat(600_000) }, 'm')).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }) as Error);
  });
});
