import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readRegistriesConf } from '../../../src/registry/registries-conf.ts';

/** A root with these files; `home/` is the user's. */
async function machine(
  files: Readonly<Record<string, string>>,
): Promise<{ root: string; env: Record<string, string>; readonly path: (name: string) => string }> {
  const root = await mkdtemp(join(tmpdir(), 'conf-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const path = (name: string): string => join(root, name);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(path(name)), { recursive: true });
    await writeFile(path(name), text);
  }
  return { root, env: { HOME: path('home') }, path };
}

const system = 'etc/containers/registries.conf';
const user = 'home/.config/containers/registries.conf';
const registry = (location: string, mirror?: string): string =>
  `[[registry]]\nlocation = "${location}"\n${mirror === undefined ? '' : `[[registry.mirror]]\nlocation = "${mirror}"\n`}`;

describe('registries.conf', () => {
  test('without files there is nothing', async () => {
    const { root, env } = await machine({});
    expect(await readRegistriesConf(env, root)).toEqual([]);
  });

  test('the example of its manual', async () => {
    const { root, env, path } = await machine({
      [system]: `unqualified-search-registries = ["example.com"]
short-name-mode = "enforcing"
credential-helpers = ["containers-auth.json"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo/"
insecure = true
pull-from-mirror = "digest-only"

[[registry]]
location = "registry.com"
mirror-by-digest-only = true

[[registry.mirror]]
location = "mirror.registry.com"

[[registry]]
prefix = "*.wild.com"
blocked = true

[aliases]
"model" = "example.com/model"`,
    });
    const file = path(system);
    expect(await readRegistriesConf(env, root)).toEqual([
      {
        prefix: 'example.com/foo',
        location: 'internal-registry-for-example.com/bar',
        insecure: false,
        blocked: false,
        file,
        mirrors: [
          { location: 'example-mirror-0.local/mirror-for-foo', insecure: undefined, pullFromMirror: undefined },
          { location: 'example-mirror-1.local/mirrors/foo', insecure: true, pullFromMirror: 'digest-only' },
        ],
      },
      {
        prefix: 'registry.com',
        location: 'registry.com',
        file,
        mirrors: [{ location: 'mirror.registry.com', insecure: undefined, pullFromMirror: 'digest-only' }],
      },
      { prefix: '*.wild.com', blocked: true, file, mirrors: [] },
    ]);
  });

  test('the files of the system: a drop-in replaces what came before', async () => {
    const { root, env } = await machine({
      [system]: registry('a.com', 'old') + registry('b.com'),
      [`${system}.d/20.conf`]: registry('a.com', 'twenty'),
      [`${system}.d/10.conf`]: registry('a.com', 'ten') + registry('c.com'),
      [`${system}.d/ignored.txt`]: 'not TOML [',
      [`${system}.d/deeper/30.conf`]: registry('a.com', 'deeper'),
      [`${user}.d/05.conf`]: registry('b.com', 'mine'),
    });
    const tables = await readRegistriesConf(env, root);
    expect(tables.map(({ prefix, mirrors }) => [prefix, mirrors[0]?.location])).toEqual([
      ['a.com', 'twenty'],
      ['b.com', 'mine'],
      ['c.com', undefined],
    ]);
  });

  test("the user's file sets the system's aside, drop-ins and all", async () => {
    const { root, env } = await machine({
      [system]: registry('system.com'),
      [`${system}.d/10.conf`]: registry('system-drop-in.com'),
      [user]: registry('user.com'),
      [`${user}.d/10.conf`]: registry('user-drop-in.com'),
    });
    expect((await readRegistriesConf(env, root)).map(({ prefix }) => prefix)).toEqual(['user.com', 'user-drop-in.com']);
  });

  test('CONTAINERS_REGISTRIES_CONF stands for the main file, and must exist', async () => {
    const { root, env, path } = await machine({
      [system]: registry('system.com'),
      [user]: registry('user.com'),
      'my.conf': registry('my.com'),
    });
    const read = async (file: string) => await readRegistriesConf({ ...env, CONTAINERS_REGISTRIES_CONF: file }, root);
    expect((await read(path('my.conf'))).map(({ prefix }) => prefix)).toEqual(['my.com']);
    await expect(read(path('none.conf'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('none.conf') as unknown,
    });
  });

  test.each([
    '[[registry]]\nlocation = "a.io"',
    '  [[ "registry" ]]\nlocation = "a.io"',
    'registry = [{ location = "a.io" }]',
    "'registry' = [{ location = 'a.io' }]",
  ])('a table is seen however it is written: %s', async (text) => {
    const { root, env } = await machine({ [system]: `# comment\n${text}\n` });
    expect(await readRegistriesConf(env, root)).toMatchObject([{ prefix: 'a.io' }]);
  });

  // the second as in Debian's containers-common: broken after it, which shows that it is not read
  test.each(['"registry" : "quay.io/libpod/registry"', '  "registry" = "docker.io/library/registry"\n?', '# [[registry]]\n?'])(
    'a file that has no table of registries is for other programs to judge: %j',
    async (line) => {
      const { root, env } = await machine({ [`${system}.d/shortnames.conf`]: `[aliases]\n${line}\n` });
      expect(await readRegistriesConf(env, root)).toEqual([]);
    },
  );

  test.each(['registry = [{ location = "a.com" }]', 'registry=[\n  { location = "a.com" },\n]', '[["registry"]]\nlocation = "a.com"'])(
    'a table of registries in another notation: %j',
    async (text) => {
      const { root, env } = await machine({ [system]: text });
      expect((await readRegistriesConf(env, root)).map(({ prefix }) => prefix)).toEqual(['a.com']);
    },
  );

  test('of equal prefixes in one file the first counts', async () => {
    const { root, env } = await machine({ [system]: registry('a.com', 'first') + registry('a.com', 'second') });
    expect((await readRegistriesConf(env, root)).map(({ mirrors }) => mirrors[0]?.location)).toEqual(['first']);
  });

  test.each([
    ['[[registry]]\nlocation = "a', /registries\.conf:2:\d+: /],
    ['[[registry]]', /neither prefix nor location/],
    ['[[registry]]\nprefix = "a.com"', /`a\.com` has no location/],
    ['[[registry]]\nprefix = "*.a.com/x"\nlocation = "b"', /a wildcard is written \*\.DOMAIN/],
    ['[[registry]]\nprefix = "a.*.com"\nlocation = "b"', /a wildcard is written \*\.DOMAIN/],
    ['[[registry]]\nlocation = "https://a.com"', /registry\.0\.location: is HOST.*without a scheme/],
    ['[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = ""', /mirror\.0\.location: must not be empty/],
    ['[[registry]]\nlocation = "a.com"\ninsecure = "yes"', /registry\.0\.insecure/],
    ['[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "some"', /pull-from-mirror/],
    [
      '[[registry]]\nlocation = "a.com"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "all"',
      /sets mirror-by-digest-only, and a mirror of it pull-from-mirror/,
    ],
  ])('%j is an error that names the file', async (text, message) => {
    const { root, env, path } = await machine({ [system]: text });
    const error: unknown = await readRegistriesConf(env, root).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', hint: expect.stringContaining('containers-registries.conf(5)') as unknown });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message.startsWith(path(system))).toBe(true);
  });
});
