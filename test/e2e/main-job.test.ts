import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

const KITFILE = `manifestVersion: 1.0.0
package:
  name: mymodel
  authors: [alice]
model:
  path: model.bin
datasets:
  - name: train   # a comment that unpacking gives back
    path: data/
docs:
  - path: README.md
`;

const V1 = 'weights of version 1\n';
const V2 = 'weights of version 2, which are worse\n';

async function writeModel(box: Sandbox, weights: string): Promise<void> {
  await box.write({
    'src/Kitfile': KITFILE,
    'src/model.bin': weights,
    'src/data/train.csv': 'a,b\n1,2\n',
    'src/README.md': '# mymodel\n',
  });
}

async function packBoth(box: Sandbox, prefix: string): Promise<void> {
  await writeModel(box, V1);
  await box.ok(`pack src -t ${prefix}:v1`);
  await writeModel(box, V2);
  await box.ok(`pack src -t ${prefix}:v2`);
}

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterEach(() => registry.clear());
afterAll(() => registry.close());

describe('the main job', () => {
  test('pack, list, push, pull elsewhere, unpack a part, roll back', async () => {
    const box = await sandbox();
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    const name = `${registry.host}/team/mymodel`;
    await writeModel(box, V1);
    expect(await box.kit(`pack src -t ${name}:v1`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Saved model layer: sha256:f5bf72358ea2…
      Saved dataset layer: sha256:d3f3b66df00c…
      Saved docs layer: sha256:39749903f268…
      Saved configuration: sha256:411ecbd8cf2c…
      Saved manifest to storage: sha256:889c2fd016da…
      Model saved: sha256:889c2fd016da…
    `);
    await writeModel(box, V2);
    await box.ok(`pack src -t ${name}:v2,latest`);
    expect(await box.kit('list')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      REPOSITORY                     TAG      MAINTAINER   NAME      SIZE      DIGEST
      127.0.0.1:55555/team/mymodel   latest   alice        mymodel   6.5 KiB   sha256:0f4d2877c107…
      127.0.0.1:55555/team/mymodel   v2       alice        mymodel   6.5 KiB   sha256:0f4d2877c107…
      127.0.0.1:55555/team/mymodel   v1       alice        mymodel   6.5 KiB   sha256:889c2fd016da…
    `);
    expect(await box.kit(`push ${name}:v1,v2,latest`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Pushing 127.0.0.1:55555/team/mymodel:v1
      Pushed sha256:889c2fd016da…
      Pushing 127.0.0.1:55555/team/mymodel:v2
      Pushed sha256:0f4d2877c107…
      Pushing 127.0.0.1:55555/team/mymodel:latest
      Pushed sha256:0f4d2877c107…
    `);

    expect(await box.kit(`pull ${name}:v2`, elsewhere)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Pulling 127.0.0.1:55555/team/mymodel:v2
      Pulled sha256:0f4d2877c107…
    `);
    expect(await box.kit(`unpack ${name}:v2 --filter model -d live`, elsewhere)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Unpacking to <TMP>/live
      Unpacking model to model.bin
    `);
    expect(await box.tree('live')).toEqual(['model.bin']);
    expect(await readFile(box.path('live/model.bin'), 'utf8')).toBe(V2);

    expect(await box.kit(`tag ${name}:v1 ${name}:prod`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Modelkit 127.0.0.1:55555/team/mymodel:v1 tagged as 127.0.0.1:55555/team/mymodel:prod
    `);
    await box.ok(`push ${name}:prod`);
    await box.ok(`pull ${name}:prod`, elsewhere);
    await box.ok(`unpack ${name}:prod --filter model -d live -o`, elsewhere);
    expect(await readFile(box.path('live/model.bin'), 'utf8')).toBe(V1);
  });

  test.each(['oci:layout', 'oci-archive:file.tar'])('the same through %s, without a store', async (place) => {
    const box = await sandbox();
    await packBoth(box, place);
    expect(await box.ok(`list ${place}`)).toContain('v2');
    await box.ok(`unpack ${place}:v2 --filter model -d live`);
    expect(await readFile(box.path('live/model.bin'), 'utf8')).toBe(V2);
    await box.ok(`unpack ${place}:v1 --filter model -d live --overwrite`);
    expect(await readFile(box.path('live/model.bin'), 'utf8')).toBe(V1);
    expect(existsSync(box.home)).toBe(false);
  });

  test('through a layout to a registry and back into an archive', async () => {
    const box = await sandbox();
    await packBoth(box, 'oci:layout');
    const name = `${registry.host}/through/layout`;
    await box.ok(`push oci:layout:v1 ${name}:v1`);
    await box.ok(`pull ${name}:v1`);
    await box.ok(`push ${name}:v1 oci-archive:out.tar:v1`);
    await box.ok('unpack oci-archive:out.tar:v1 -d live');
    expect(await box.tree('live')).toEqual(['Kitfile', 'README.md', 'data/', 'data/train.csv', 'model.bin']);
  });

  test('several tags at once: pack, push under another name, pull, remove', async () => {
    const box = await sandbox();
    const name = `${registry.host}/team/tags`;
    await writeModel(box, V1);
    await box.ok('pack src -t mine:a,b');
    expect(await box.kit(`push mine:a ${name}:a,b,c`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Pushing mine:a to 127.0.0.1:55555/team/tags:a
      Pushed sha256:889c2fd016da…
      Pushing mine:a to 127.0.0.1:55555/team/tags:b
      Pushed sha256:889c2fd016da…
      Pushing mine:a to 127.0.0.1:55555/team/tags:c
      Pushed sha256:889c2fd016da…
    `);
    expect(await box.kit(`pull ${name}:a,b`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Pulling 127.0.0.1:55555/team/tags:a
      Pulled sha256:889c2fd016da…
      Pulling 127.0.0.1:55555/team/tags:b
      Pulled sha256:889c2fd016da…
    `);
    expect(await box.kit('list')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      REPOSITORY                  TAG   MAINTAINER   NAME      SIZE      DIGEST
      127.0.0.1:55555/team/tags   a     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
      127.0.0.1:55555/team/tags   b     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
      mine                        a     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
      mine                        b     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
    `);
    expect(await box.kit(`list ${name}`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      REPOSITORY   TAG   MAINTAINER   NAME      SIZE      DIGEST
      team/tags    a     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
      team/tags    b     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
      team/tags    c     alice        mymodel   6.5 KiB   sha256:889c2fd016da…
    `);
    expect(await box.kit('remove mine:a,b,missing')).toMatchInlineSnapshot(`
      exit 1
      --- stdout
      Removed mine:a (digest sha256:889c2fd016da…)
      Removed mine:b (digest sha256:889c2fd016da…)
      --- stderr
      error: mine:missing is not in the store

      hint: run \`kit list\` to see what the store holds
      error: 1 of 3 could not be removed

      hint: each of them is named above, with why
    `);
    expect(await box.kit(`remove --remote ${name}:c`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Removed 127.0.0.1:55555/team/tags:c (digest sha256:889c2fd016da…)
    `);
    expect(await box.kit(`remove ${name}:a,b`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Removed 127.0.0.1:55555/team/tags:a (digest sha256:889c2fd016da…)
      Removed 127.0.0.1:55555/team/tags:b (digest sha256:889c2fd016da…)
    `);
    expect(await box.kit('list')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      REPOSITORY   TAG   MAINTAINER   NAME   SIZE   DIGEST
    `);
    // nothing is left of it
    expect((await box.tree('home/storage/blobs')).filter((path) => path.includes('/') && !path.endsWith('/'))).toEqual([]);
  });

  test('pack --push and unpack leave local storage alone, and unpack fetches only what is asked for', async () => {
    const box = await sandbox();
    const name = `${registry.host}/team/direct`;
    await writeModel(box, V1);
    await box.ok(`pack src -t ${name}:v1 --push`);
    expect(existsSync(box.home)).toBe(false);
    registry.clear();
    await box.ok(`unpack ${name}:v1 --filter datasets:train -d out`);
    expect(registry.log()).toMatchInlineSnapshot(`
      [
        "HEAD /v2/team/direct/manifests/v1 -> 200",
        "GET /v2/team/direct/manifests/DIGEST -> 200",
        "GET /v2/team/direct/blobs/DIGEST -> 200",
        "GET /v2/team/direct/blobs/DIGEST -> 200",
      ]
    `);
    expect(existsSync(box.home)).toBe(false);
    expect(await box.tree('out')).toEqual(['data/', 'data/train.csv']);
  });

  test('a name without a tag is one with the tag latest, as in KitOps', async () => {
    const box = await sandbox();
    await writeModel(box, V1);
    await box.ok('pack src -t mine');
    await box.ok('tag mine other');
    await box.ok(`push mine ${registry.host}/team/latest`);
    await box.ok(`pull ${registry.host}/team/latest`);
    const rows = JSON.parse(await box.ok('list --format json')) as { tags: string[] }[];
    expect(rows.map(({ tags }) => tags)).toEqual([['latest'], ['latest'], ['latest']]);
    await box.ok('unpack other:latest -d out');
  });

  test('a digest names a ModelKit, alone or with its repository', async () => {
    const box = await sandbox();
    await writeModel(box, V1);
    const { digest } = JSON.parse(await box.ok('pack src -t mine:v1 --format json')) as { digest: string };
    await box.ok(`unpack mine@${digest} -d one`);
    await box.ok(`unpack ${digest} -d two`);
    expect(await box.tree('two')).toEqual(await box.tree('one'));
    await box.ok(`push ${digest} ${registry.host}/team/digest:v1`);
    await box.ok(`remove ${digest}`);
    await box.ok(`pull ${registry.host}/team/digest@${digest}`);
    expect(await box.ok('list')).toContain('<none>');
    expect(await box.kit('remove --all')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Removed 127.0.0.1:55555/team/digest@sha256:889c2fd016da…
    `);
    expect(await box.ok('list --format json')).toBe('[]\n');
  });

  test('unpacking gives the Kitfile back as it was written', async () => {
    const box = await sandbox();
    await writeModel(box, V1);
    await box.ok('pack src -t mine:v1');
    await box.ok('unpack mine:v1 -d out');
    expect(await readFile(box.path('out/Kitfile'), 'utf8')).toBe(KITFILE);
  });

  test('an edit of the source does not touch what was packed before', async () => {
    const box = await sandbox();
    await packBoth(box, 'mine');
    await box.ok('unpack mine:v1 -d one');
    await box.ok('unpack mine:v2 -d two');
    expect(await readFile(box.path('one/model.bin'), 'utf8')).toBe(V1);
    expect(await readFile(box.path('two/model.bin'), 'utf8')).toBe(V2);
  });
});
