import { mkdir, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createKit, type Kit, type KitEvent, listLocal, pack, parseLocation, remove, parseReference } from '../../../src/index.ts';
import { digestHex } from '../../../src/oci/digest.ts';

async function setUp(): Promise<{ kit: Kit; home: string; cache: string }> {
  const home = await mkdtemp(join(tmpdir(), 'ocikit-list-'));
  const kit = createKit({ home, env: {} });
  onTestFinished(async () => {
    await kit.close();
    await rm(home, { recursive: true });
  });
  for (const name of ['one', 'two']) {
    const directory = join(home, 'src', name);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'w.bin'), name);
    await writeFile(join(directory, 'Kitfile'), `manifestVersion: 1.0.0\npackage: {name: ${name}, authors: [ada]}\nmodel: {path: w.bin}\n`);
    await pack(kit, { directory, destination: parseLocation(`${name}:v1`) });
  }
  return { kit, home, cache: join(home, 'cache', 'list.json') };
}

test('the second list says what the first did, without reading', async () => {
  const { kit, cache } = await setUp();
  const first = await listLocal(kit);
  expect(first.map(({ repository, tags, name, author }) => ({ repository, tags, name, author }))).toEqual([
    { repository: 'one', tags: ['v1'], name: 'one', author: 'ada' },
    { repository: 'two', tags: ['v1'], name: 'two', author: 'ada' },
  ]);
  expect(await listLocal(kit)).toEqual(first);
  // what is shown comes from the cache now
  await writeFile(cache, (await readFile(cache, 'utf8')).replace('"name":"two"', '"name":"remembered"'));
  expect((await listLocal(kit)).map(({ name }) => name)).toEqual(['one', 'remembered']);
});

test('a config that is gone or another file is noticed', async () => {
  const { kit, home } = await setUp();
  const before = await listLocal(kit);
  const store = await kit.store();
  const manifest = JSON.parse(await readFile(store.blobs.pathOf(before[1]?.digest ?? 'sha256:'), 'utf8')) as {
    config: { digest: `sha256:${string}` };
  };
  const config = join(home, 'storage', 'blobs', 'sha256', digestHex(manifest.config.digest));
  const content = await readFile(config);
  await unlink(config);
  const events: KitEvent[] = [];
  expect((await listLocal(kit, { onEvent: (event) => events.push(event) })).map(({ repository }) => repository)).toEqual(['one']);
  expect(events).toMatchObject([{ type: 'warning', code: 'BLOB_NOT_FOUND' }]);
  await writeFile(config, content);
  expect(await listLocal(kit)).toEqual(before);
});

test('a cache that is damaged is read anew, and what was removed leaves it', async () => {
  const { kit, cache } = await setUp();
  const before = await listLocal(kit);
  for (const damaged of ['', '[]', 'null', '{"x":1}', '{"sha256:x":null}', `{"${before[0]?.digest}":{"config":1,"stamps":7}}`]) {
    await writeFile(cache, damaged);
    expect(await listLocal(kit)).toEqual(before);
  }
  await remove(kit, parseReference('two:v1'));
  await listLocal(kit);
  expect(Object.keys(JSON.parse(await readFile(cache, 'utf8')) as object)).toEqual([before[0]?.digest]);
});
