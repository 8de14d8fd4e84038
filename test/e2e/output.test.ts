import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

async function withModel(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({
    'in/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: mine, authors: [alice]}\nmodel: {path: m}\ncode: [{path: run.sh}]\n',
  });
  await box.write({ 'in/m': 'weights\n', 'in/run.sh': '#!/bin/sh\n' });
  return box;
}

const short = (value: unknown): unknown => JSON.parse(JSON.stringify(value).replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…'));

test('--format json of every command that returns data', async () => {
  const box = await withModel();
  const name = `${registry.host}/json/mine`;
  const json = async (args: string): Promise<unknown> => short(JSON.parse((await box.kit(`${args} --format json`)).stdout));
  expect(await json(`pack in -t ${name}:v1`)).toMatchInlineSnapshot(`
    {
      "config": {
        "digest": "sha256:aeccca18c809…",
        "existed": false,
      },
      "digest": "sha256:db453adfcdee…",
      "inputs": {
        "bases": [],
        "kitfile": {
          "digest": "sha256:34e475dce1fd…",
          "file": "in/Kitfile",
        },
      },
      "layers": [
        {
          "descriptor": {
            "annotations": {
              "org.cncf.model.filepath": "m",
            },
            "digest": "sha256:e12c5223d1f6…",
            "mediaType": "application/vnd.kitops.modelkit.model.v1.tar",
            "size": 2048,
          },
          "diffId": "sha256:e12c5223d1f6…",
          "existed": false,
          "index": 0,
          "path": "m",
          "role": "model",
        },
        {
          "descriptor": {
            "annotations": {
              "org.cncf.model.filepath": "run.sh",
            },
            "digest": "sha256:c90078f6b55e…",
            "mediaType": "application/vnd.kitops.modelkit.code.v1.tar",
            "size": 2048,
          },
          "diffId": "sha256:c90078f6b55e…",
          "existed": false,
          "index": 0,
          "path": "run.sh",
          "role": "code",
        },
      ],
      "manifest": {
        "digest": "sha256:db453adfcdee…",
        "existed": false,
      },
      "reference": "127.0.0.1:55555/json/mine:v1",
    }
  `);
  expect(await json(`tag ${name}:v1 ${name}:v2`)).toMatchInlineSnapshot(`
    {
      "destination": "127.0.0.1:55555/json/mine:v2",
      "digest": "sha256:db453adfcdee…",
      "source": "127.0.0.1:55555/json/mine:v1",
    }
  `);
  expect(await json(`push ${name}:v1,v2`)).toMatchInlineSnapshot(`
    [
      {
        "digest": "sha256:db453adfcdee…",
        "reference": "127.0.0.1:55555/json/mine:v1",
      },
      {
        "digest": "sha256:db453adfcdee…",
        "reference": "127.0.0.1:55555/json/mine:v2",
      },
    ]
  `);
  expect(await json(`pull ${name}:v1`)).toMatchInlineSnapshot(`
    [
      {
        "digest": "sha256:db453adfcdee…",
        "reference": "127.0.0.1:55555/json/mine:v1",
      },
    ]
  `);
  expect(await json('list')).toMatchInlineSnapshot(`
    [
      {
        "author": "alice",
        "digest": "sha256:db453adfcdee…",
        "modelName": "mine",
        "repo": "127.0.0.1:55555/json/mine",
        "size": "4.0 KiB",
        "tags": [
          "v1",
          "v2",
        ],
      },
    ]
  `);
  expect(await json(`list ${name}`)).toMatchInlineSnapshot(`
    [
      {
        "author": "alice",
        "digest": "sha256:db453adfcdee…",
        "modelName": "mine",
        "repo": "json/mine",
        "size": "4.0 KiB",
        "tags": [
          "v1",
        ],
      },
      {
        "author": "alice",
        "digest": "sha256:db453adfcdee…",
        "modelName": "mine",
        "repo": "json/mine",
        "size": "4.0 KiB",
        "tags": [
          "v2",
        ],
      },
    ]
  `);
  expect(await json(`inspect ${name}:v1`)).toMatchInlineSnapshot(`
    {
      "cliVersion": "unknown",
      "digest": "sha256:db453adfcdee…",
      "kitfile": {
        "code": [
          {
            "diffId": "sha256:c90078f6b55e…",
            "digest": "sha256:c90078f6b55e…",
            "path": "run.sh",
          },
        ],
        "manifestVersion": "1.0.0",
        "model": {
          "diffId": "sha256:e12c5223d1f6…",
          "digest": "sha256:e12c5223d1f6…",
          "path": "m",
        },
        "package": {
          "authors": [
            "alice",
          ],
          "name": "mine",
        },
      },
      "manifest": {
        "artifactType": "application/vnd.kitops.modelkit.manifest.v1+json",
        "config": {
          "digest": "sha256:aeccca18c809…",
          "mediaType": "application/vnd.kitops.modelkit.config.v1+json",
          "size": 453,
        },
        "layers": [
          {
            "annotations": {
              "org.cncf.model.filepath": "m",
            },
            "digest": "sha256:e12c5223d1f6…",
            "mediaType": "application/vnd.kitops.modelkit.model.v1.tar",
            "size": 2048,
          },
          {
            "annotations": {
              "org.cncf.model.filepath": "run.sh",
            },
            "digest": "sha256:c90078f6b55e…",
            "mediaType": "application/vnd.kitops.modelkit.code.v1.tar",
            "size": 2048,
          },
        ],
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "schemaVersion": 2,
      },
    }
  `);
  expect(await json(`info ${name}:v1`)).toMatchInlineSnapshot(`
    {
      "code": [
        {
          "path": "run.sh",
        },
      ],
      "manifestVersion": "1.0.0",
      "model": {
        "path": "m",
      },
      "package": {
        "authors": [
          "alice",
        ],
        "name": "mine",
      },
    }
  `);
  expect(await json(`diff ${name}:v1 ${name}:v2`)).toMatchInlineSnapshot(`
    {
      "a": {
        "config": "sha256:aeccca18c809…",
        "digest": "sha256:db453adfcdee…",
        "reference": "127.0.0.1:55555/json/mine:v1",
      },
      "annotationsMatch": true,
      "b": {
        "config": "sha256:aeccca18c809…",
        "digest": "sha256:db453adfcdee…",
        "reference": "127.0.0.1:55555/json/mine:v2",
      },
      "identical": true,
      "onlyA": [],
      "onlyB": [],
      "sameConfig": true,
      "shared": [
        {
          "annotations": {
            "org.cncf.model.filepath": "run.sh",
          },
          "digest": "sha256:c90078f6b55e…",
          "mediaType": "application/vnd.kitops.modelkit.code.v1.tar",
          "size": 2048,
        },
        {
          "annotations": {
            "org.cncf.model.filepath": "m",
          },
          "digest": "sha256:e12c5223d1f6…",
          "mediaType": "application/vnd.kitops.modelkit.model.v1.tar",
          "size": 2048,
        },
      ],
    }
  `);
  expect(await json(`unpack ${name}:v1 -d out`)).toMatchInlineSnapshot(`
    {
      "bases": [],
      "digest": "sha256:db453adfcdee…",
      "directory": "<TMP>/out",
      "fileCount": 3,
      "kitfile": "unpacked",
      "layers": [
        {
          "digest": "sha256:e12c5223d1f6…",
          "path": "m",
          "role": "model",
        },
        {
          "digest": "sha256:c90078f6b55e…",
          "path": "run.sh",
          "role": "code",
        },
      ],
    }
  `);
  expect(await json('init out --force --name mine')).toMatchInlineSnapshot(`
    {
      "kitfile": {
        "code": [
          {
            "path": ".",
          },
        ],
        "manifestVersion": "1.0.0",
        "package": {
          "name": "mine",
        },
      },
      "path": "out/Kitfile",
    }
  `);
  expect(await json(`remove ${name}:v1,missing`)).toMatchInlineSnapshot(`
    {
      "bytes": 0,
      "failed": [
        {
          "code": "REFERENCE_NOT_FOUND",
          "message": "127.0.0.1:55555/json/mine:missing is not in the store",
          "reference": "127.0.0.1:55555/json/mine:missing",
        },
      ],
      "removed": [
        {
          "digest": "sha256:db453adfcdee…",
          "outcome": "untagged",
          "reference": "127.0.0.1:55555/json/mine:v1",
        },
      ],
    }
  `);
  expect(Object.keys((await json('version')) as object)).toEqual(['version', 'commit', 'built', 'node']);
});

test('tables and lines have the shape that the SDKs of KitOps parse', async () => {
  const box = await withModel();
  await box.ok('pack in -t mine:v1');
  await box.ok('pack in');
  // kitops-ts: header and rows split at two blanks or more
  const [header, ...rows] = (await box.ok('list'))
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
  expect(header).toEqual(['REPOSITORY', 'TAG', 'MAINTAINER', 'NAME', 'SIZE', 'DIGEST']);
  expect(rows.map((row) => row.slice(0, 5))).toEqual([
    ['<none>', '<none>', 'alice', 'mine', '4.0 KiB'],
    ['mine', 'v1', 'alice', 'mine', '4.0 KiB'],
  ]);
  expect(
    (await box.ok('version'))
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/: .*/, '')),
  ).toEqual(['Version', 'Commit', 'Built', 'Node version']);
  expect(await box.ok(['list', '--format', '{{ .Repo }}:{{ range .Tags }}{{ . }}{{ end }} {{ .ModelName }}'])).toBe(
    '<none>: mine\nmine:v1 mine\n',
  );
  // pykitops: "Model saved: DIGEST" and `import`ed stdout of info
  expect(await box.ok('pack in -t mine:v1')).toMatch(/^Model saved: sha256:\w{64}$/m);
  expect(await box.ok('info mine:v1 --filter package.name')).toBe('mine\n');
});

test('stdout is empty when a command fails, and holds data alone when it does not', async () => {
  const box = await withModel();
  for (const args of ['pack missing', 'unpack mine:v9', 'list --format', 'inspect mine:v9 --format json', 'push mine:v1'])
    expect((await box.kit(args)).stdout, args).toBe('');
  const plain = await box.kit('pack in -t mine:v1 --format json --progress plain --concurrency 1');
  expect(JSON.parse(plain.stdout)).toHaveProperty('digest');
  // a slow machine says how long it took
  expect(plain.stderr.replaceAll(/ in [\dms.]+( s)?$/gm, '')).toMatchInlineSnapshot(`
    "packed model m 2.0 KiB
    packed code run.sh 2.0 KiB
    "
  `);
  const events = await box.kit('unpack mine:v1 -d out --format json --progress json');
  expect(JSON.parse(events.stdout)).toHaveProperty('fileCount', 3);
  const types = events.stderr
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { type: string }).type);
  expect(new Set(types)).toEqual(new Set(['plan', 'blob', 'bytes', 'done']));
  const fancy = await box.kit('unpack mine:v1 -d out2 --progress fancy');
  expect(fancy.stdout).toBe((await box.ok('unpack mine:v1 -d out3')).replaceAll('out3', 'out2'));
});

test('-v shows the code and the causes of an error, --log-level error hides warnings', async () => {
  const box = await withModel();
  await box.write({ 'in/.kitignore': 'm\n' });
  expect(await box.kit('inspect mine:v9 -v')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine:v9 is not in local storage [REFERENCE_NOT_FOUND]
      caused by: mine:v9 is not in the store

    hint: run \`kit list\` to see what the store holds
  `);
  expect((await box.kit('pack in -t mine:v1')).stderr).toContain('warning: ');
  expect((await box.kit('pack in -t mine:v1 --log-level error')).stderr).toBe('');
});

test('the same input gives the same digest, with a time only when asked', async () => {
  const box = await withModel();
  const digestOf = async (args: string, env: Record<string, string> = {}) =>
    (JSON.parse(await box.ok(`pack in ${args} --format json`, { env })) as { digest: string }).digest;
  const plain = await digestOf('-t a:v1');
  expect(await digestOf('-t b:v2', { TZ: 'Asia/Tokyo', LANG: 'C' })).toBe(plain);
  expect(await digestOf('-t oci:layout:v1')).toBe(plain);
  const timed = await digestOf('-t a:v2 --created 2026-01-31T12:00:00Z');
  expect(timed).not.toBe(plain);
  expect(await digestOf('-t a:v3', { SOURCE_DATE_EPOCH: '1769860800' })).toBe(timed);
});
