import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCatalogAt } from '../../src/catalog/open-catalog.ts';
import { hasPostgres, type Postgres, startPostgres } from '../support/postgres.ts';
import { aModel, anExpression, answers, contentsOf, REPOSITORY } from '../unit/catalog/catalog-models.ts';
import { startFleet } from '../unit/catalog/fleet.ts';

let server: Postgres;
let databases = 0;

/** A database of its own. */
function newDatabase(): { readonly url: string; readonly name: string } {
  databases += 1;
  const name = `models${databases}`;
  server.sql('postgres', `CREATE DATABASE ${name}`);
  return { url: server.url(name), name };
}

describe.skipIf(!hasPostgres)('against PostgreSQL', () => {
  beforeAll(() => {
    server = startPostgres();
  }, 240_000);
  afterAll(() => server.close());

  test('a live crawl, SQLite and PostgreSQL give the same answers', async () => {
    const { registry, work, ask, sync } = await startFleet();
    const { url } = newDatabase();
    const file = work.path('catalog.db');
    for (const database of [url, file]) await sync({ references: [registry.host], database, tensors: true, signatures: true });
    for (const [expression, more] of [
      ['true', {}],
      ['model.parameters.accuracy > 0.95', { sort: ['model.parameters.accuracy:desc'], limit: 2 }],
      ['model.license in ["MIT", "BSD"] && annotations.run == 7', {}],
      ['model.license != "MIT"', { sort: ['size', 'package.version:desc'] }],
      ['index.annotations.quantization =~ "^Q[48]$"', {}],
      ['datasets[1].name == "y" || tensors.memory.weights >= 24', {}],
      ['$.model.parameters[?@ > 0.5]', {}],
      ['"latest" in tags', { references: [`${registry.host}/team/*`] }],
    ] as const) {
      const live = await ask(expression, more);
      expect(live.matches, expression).toBeGreaterThan(0);
      for (const catalog of [url, file]) expect(await ask(expression, { ...more, catalog })).toEqual({ ...live, looked: undefined });
    }
  });

  test('it lets through all that fulfils an expression', async () => {
    const { url } = newDatabase();
    const catalog = await openCatalogAt(url, 'create');
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.array(aModel, { maxLength: 6 }),
          fc.array(anExpression, { minLength: 1, maxLength: 5 }),
          async (models, expressions) => {
            const { contents, tags } = contentsOf(models);
            await catalog.changeTags(REPOSITORY, new Map(), [...(await catalog.tags(REPOSITORY)).keys()]);
            await catalog.sweep();
            await catalog.add(contents);
            await catalog.changeTags(REPOSITORY, tags, []);
            for (const text of expressions) {
              const { filtered, plain } = await answers(catalog, text);
              expect(filtered).toEqual(plain);
            }
          },
        ),
        { numRuns: 40 },
      );
    } finally {
      await catalog.close();
    }
  });

  test('two at once, in a database that is new, do the work of one', async () => {
    const { registry, find, sync } = await startFleet();
    const { url, name } = newDatabase();
    const results = await Promise.all([1, 2, 3].map(async () => await sync({ references: [registry.host], database: url })));
    expect(results.map(({ tags }) => tags.added).toSorted((a, b) => a - b)).toEqual([0, 0, 9]);
    expect(await find('package.version == "1.9.0"', { catalog: url })).toEqual(['team/a:v1']);
    expect(server.sql(name, 'SELECT count(*) FROM kit_catalog')).toBe('1');
    registry.storage.repository('team/a').tags.clear();
    expect(await sync({ database: url })).toMatchObject({ tags: { removed: 3 }, read: 0 });
    expect(await find('package.version == "1.9.0"', { catalog: url })).toEqual([]);
  });

  test('what a killed process had begun is not there, and its lock is free', async () => {
    const { registry, find, sync } = await startFleet();
    const { url, name } = newDatabase();
    await sync({ references: [registry.host], database: url });
    const held = await openCatalogAt(url, 'write');
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const work = held.exclusively(async () => {
      await held.changeTags('reg.example/x', new Map([['v1', 'sha256:0']]), []);
      begin();
      await new Promise(() => {});
    });
    work.catch(() => undefined);
    await begun;
    // as when the process dies: the server ends the session
    const others = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
    expect(server.sql(name, others)).toBe('t');
    expect(await sync({ database: url })).toMatchObject({ tags: { unchanged: 9 } });
    expect(await find('package.version == "1.9.0"', { catalog: url })).toEqual(['team/a:v1']);
    await held.close();
  });

  test('what goes wrong is said, and never with the password', async () => {
    const { url } = newDatabase();
    const { sync, registry } = await startFleet();
    const refused = async (database: string) =>
      await sync({ references: [registry.host], database }).catch((error: unknown) => error as Error);
    const missing = await refused(server.url('nothing'));
    expect(missing).toMatchObject({ code: 'DATABASE_FAILED', hint: expect.stringContaining('createdb') as string });
    const unreachable = await refused('postgres://kit:s3cret-w0rd@127.0.0.1:1/models');
    expect(unreachable).toMatchObject({ code: 'DATABASE_FAILED' });
    const wrong = await refused('postgres://kit:s3cret-w0rd@[/models');
    expect(wrong).toMatchObject({ code: 'USAGE' });
    for (const error of [missing, unreachable, wrong])
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret');
    await expect(openCatalogAt(url, 'read')).rejects.toMatchObject({
      code: 'CATALOG_INVALID',
      message: expect.not.stringContaining('s3cret') as string,
    });
  });

  test('another version is refused', async () => {
    const { url, name } = newDatabase();
    await (await openCatalogAt(url, 'create')).close();
    server.sql(name, 'UPDATE kit_catalog SET version = 99');
    await expect(openCatalogAt(url, 'create')).rejects.toMatchObject({
      code: 'CATALOG_INVALID',
      hint: expect.stringContaining('newer') as string,
    });
  });

  test('no password, no token is in it', async () => {
    const { registry, sync } = await startFleet();
    const { url, name } = newDatabase();
    const { catalog } = await sync({ references: [registry.host], database: url });
    expect(catalog).not.toContain('s3cret');
    const dump =
      server.sql(name, 'SELECT * FROM kit_scopes') +
      server.sql(name, 'SELECT * FROM kit_tags') +
      server.sql(name, 'SELECT document FROM kit_artifacts');
    expect(dump).not.toContain('s3cret');
  });
});
