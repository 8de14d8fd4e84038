import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

/** A base with a model and code, one that adds an adapter, and one that adds code: each built on the one before. */
async function packChain(box: Sandbox, prefix: string): Promise<void> {
  await box.write({
    'base/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: weights}\ncode: [{path: base.py}]\n',
    'base/weights/w.bin': 'weights',
    'base/base.py': 'base',
    'tuned/Kitfile': `manifestVersion: 1.0.0\nmodel:\n  path: ${prefix}/base:v1\n  parts: [{name: adapter, path: adapter.bin}]\n`,
    'tuned/adapter.bin': 'adapter',
    'app/Kitfile': `manifestVersion: 1.0.0\nmodel: {path: "${prefix}/tuned:v1"}\ncode: [{path: .}]\n`,
    'app/app.py': 'app',
    // what the bases have is not packed again
    'app/weights/w.bin': 'weights',
    'app/adapter.bin': 'adapter',
  });
  for (const name of ['base', 'tuned', 'app']) await box.ok(`pack ${name} -t ${prefix}/${name}:v1`);
}

test('a chain of three: packed, pushed, pulled with its bases, unpacked', async () => {
  const box = await sandbox();
  const prefix = `${registry.host}/chain`;
  await packChain(box, prefix);
  for (const name of ['base', 'tuned', 'app']) await box.ok(`push ${prefix}/${name}:v1`);
  const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };

  // the port is part of the Kitfiles, and so of the digests
  const pulled = await box.ok(`pull ${prefix}/app:v1`, elsewhere);
  expect(pulled.replaceAll(/sha256:\w+/g, 'DIGEST')).toMatchInlineSnapshot(`
    "Pulling 127.0.0.1:55555/chain/app:v1
    Pulled DIGEST
    Pulling 127.0.0.1:55555/chain/tuned:v1
    Pulled DIGEST
    Pulling 127.0.0.1:55555/chain/base:v1
    Pulled DIGEST
    "
  `);
  expect(await box.kit(`unpack ${prefix}/app:v1 -d out`, elsewhere)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Unpacking to <TMP>/out
    Unpacking referenced modelkit 127.0.0.1:55555/chain/tuned:v1
    Unpacking referenced modelkit 127.0.0.1:55555/chain/base:v1
    Unpacking config to <TMP>/out/Kitfile
    Unpacking model part adapter to adapter.bin
    Unpacking model to weights
    Unpacking code to .
  `);
  // of the bases the model alone, with its parts
  expect(await box.tree('out')).toEqual(['Kitfile', 'adapter.bin', 'app.py', 'weights/', 'weights/w.bin']);
  expect(await readFile(box.path('out/weights/w.bin'), 'utf8')).toBe('weights');

  const manifest = JSON.parse(await box.ok(`inspect ${prefix}/app:v1`)) as { manifest: { layers: { mediaType: string }[] } };
  expect(manifest.manifest.layers.map(({ mediaType }) => mediaType)).toEqual(['application/vnd.kitops.modelkit.code.v1.tar']);
  await box.ok(`unpack ${prefix}/app:v1 -d code --filter code`, elsewhere);
  expect(await box.tree('code')).toEqual(['app.py']);
});

test('a chain is unpacked straight from the registry, nothing is stored', async () => {
  const box = await sandbox();
  const prefix = `${registry.host}/direct`;
  await packChain(box, prefix);
  for (const name of ['base', 'tuned', 'app']) await box.ok(`push ${prefix}/${name}:v1`);
  const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
  await box.ok(`unpack ${prefix}/app:v1 -d out --filter model`, elsewhere);
  expect(await box.tree('out')).toEqual(['adapter.bin', 'weights/', 'weights/w.bin']);
  expect(existsSync(box.path('elsewhere'))).toBe(false);
});

test('a base that is missing, a loop', async () => {
  const box = await sandbox();
  await box.write({
    'a/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: "mine:b"}\n',
    'b/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: "mine:a"}\n',
    'first/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n',
    'first/m': 'm',
  });
  expect(await box.kit('pack a -t mine:a')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: the model of mine:a is the ModelKit mine:b: mine:b is not in local storage

    hint: run \`kit list\` to see what the store holds
  `);
  await box.ok('pack first -t mine:a');
  await box.ok('pack b -t mine:b');
  expect(await box.kit('pack a -t mine:a')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: found cycle in modelkit references: [mine:a=>mine:b=>mine:a]

    hint: \`kit tree REFERENCE\` shows which ModelKit refers to which: pack one of them without the reference
  `);
});

test('a loop that others made is found when it is unpacked or pulled', async () => {
  const box = await sandbox();
  const prefix = `${registry.host}/loop`;
  await box.write({
    'a/Kitfile': `manifestVersion: 1.0.0\nmodel: {path: "${prefix}/b:v1"}\n`,
    'b/Kitfile': `manifestVersion: 1.0.0\nmodel: {path: "${prefix}/a:v1"}\n`,
    'first/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n',
    'first/m': 'm',
  });
  await box.ok(`pack first -t ${prefix}/a:v1`);
  await box.ok(`pack b -t ${prefix}/b:v1`);
  await box.ok(`push ${prefix}/b:v1`);
  await box.ok(`pack a -t ${prefix}/other:v1`);
  await box.ok(`push ${prefix}/other:v1 ${prefix}/a:v1`);
  const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
  expect(await box.kit(`unpack ${prefix}/a:v1 -d out`, elsewhere)).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: found cycle in modelkit references: [127.0.0.1:55555/loop/a:v1=>127.0.0.1:55555/loop/b:v1=>127.0.0.1:55555/loop/a:v1]

    hint: \`kit tree REFERENCE\` shows which ModelKit refers to which: pack one of them without the reference
  `);
  expect(existsSync(box.path('out'))).toBe(false);
  expect((await box.kit(`pull ${prefix}/a:v1`, elsewhere)).status).toBe(1);
});
