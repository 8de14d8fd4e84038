import { expect, test } from 'vitest';
import { sandbox } from '../support/kit.ts';

test('usage errors exit with 2 and say what to do', async () => {
  const box = await sandbox();
  expect(await box.kit('pakc .')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: unknown command 'pakc' (did you mean pack?)

    hint: \`kit --help\` lists the commands
  `);
  expect(await box.kit('pack . --tga x')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: unknown option '--tga' (did you mean --tag?)

    hint: \`kit pack --help\` shows its arguments and options
  `);
  expect(await box.kit('pack')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: missing required argument 'directory'

    hint: \`kit pack --help\` shows its arguments and options
  `);
  expect(await box.kit('pack . extra')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: too many arguments for 'pack'. Expected 1 argument but got 2: ., extra.

    hint: \`kit pack --help\` shows its arguments and options
  `);
  expect(await box.kit('pack . -t')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: option '-t, --tag <reference>' argument missing

    hint: \`kit pack --help\` shows its arguments and options
  `);
  expect(await box.kit('list --concurrency 0')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid argument for concurrency (0): must be at least 1

    hint: the default is 5
  `);
  expect(await box.kit('pack . --compression lz4')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid value \`lz4\` for --compression

    hint: use one of none, gzip, gzip-fastest, zstd
  `);
  expect(await box.kit('pull x/y --tls-verify=maybe')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: unknown option '--tls-verify=maybe'

    hint: \`kit pull --help\` shows its arguments and options
  `);
  expect(await box.kit('unpack mine:v1 -o -i')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --overwrite and --ignore-existing contradict each other

    hint: \`kit unpack --help\` shows its arguments and options
  `);
  expect(await box.kit('unpack mine:v1 --filter model:a:b,')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid filter \`model:a:b,\`: a name is empty

    hint: a filter is TYPE[,TYPE][:NAME[,NAME]]
  `);
  expect(await box.kit('unpack mine:v1 --filter weights')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid filter type \`weights\` (must be one of kitfile, model, datasets, code, prompts, docs, mcpservers, path)

    hint: a filter is TYPE[,TYPE][:NAME[,NAME]], for example \`--filter model\` or \`--filter datasets:train\`
  `);
  expect(await box.kit('list --progress blue')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid value \`blue\` for --progress

    hint: use one of none, plain, fancy, json
  `);
  expect(await box.kit(['list', '--format', '{{ .Nothing }}'])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: template \`{{ .Nothing }}\`: \`.Nothing\` is not a field

    hint: fields are .Repo .Digest .Tags .ModelName .Size .Author; functions are index, len, join, range, if
  `);
});

test('references that do not parse exit with 2', async () => {
  const box = await sandbox();
  expect(await box.kit('inspect Mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid reference \`Mine:v1\`: repository (Mine) name must be lowercase

    hint: write \`mine\`
  `);
  expect(await box.kit('inspect https://ghcr.io/team/mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid reference \`https://ghcr.io/team/mine:v1\`: it must not start with a scheme

    hint: write \`ghcr.io/team/mine:v1\`
  `);
  expect(await box.kit('inspect mine@sha256:123')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid reference \`mine@sha256:123\`: \`sha256:123\` is not a digest

    hint: a digest is \`sha256:\` and 64 hexadecimal digits
  `);
  expect(await box.kit(['inspect', 'mine:v 1'])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid reference \`mine:v 1\`: \`v 1\` is not a tag

    hint: a tag has up to 128 letters, digits, \`_\`, \`.\` and \`-\`, and starts with a letter, digit or \`_\`
  `);
  expect(await box.kit('push mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: mine: a registry is required

    hint: write REGISTRY/mine:TAG, for example \`localhost:5000/mine:latest\`
  `);
  expect(await box.kit('pull mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: mine: a registry is required

    hint: write REGISTRY/mine:TAG, for example \`localhost:5000/mine:latest\`
  `);
  expect(await box.kit('pack . -t oci:layout:v1,v2')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid reference \`oci:layout:v1,v2\`: a layout or archive takes one tag at a time

    hint: write \`oci:layout:v1\`
  `);
});

test('remove checks its flags', async () => {
  const box = await sandbox();
  expect(await box.kit('remove')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: modelkit is required for remove unless --all is specified

    hint: \`kit remove --help\` shows its arguments and options
  `);
  expect(await box.kit('remove mine:v1 --all')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: modelkit should not be specified when --all flag is used

    hint: \`kit remove --help\` shows its arguments and options
  `);
  expect(await box.kit('remove localhost:5000/mine:v1 --remote --force')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: cannot use --all or --force with --remote

    hint: \`kit remove --help\` shows its arguments and options
  `);
});

test("Go's spellings of flags are understood", async () => {
  const box = await sandbox();
  await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'src/m': 'm' });
  await box.ok('pack src -t=mine:v1 --compression=none');
  await box.ok('unpack mine:v1 -d=out --tls-verify=false --plain-http=true --overwrite=false');
  expect(await box.tree('out')).toEqual(['Kitfile', 'm']);
  await box.write({ 'out/m': 'mine' });
  expect((await box.kit('unpack mine:v1 -d=out --overwrite=false')).status).toBe(1);
  await box.ok('unpack mine:v1 -d=out -o=true');
});

test('help and version exit with 0, and nothing at all shows the help', async () => {
  const box = await sandbox();
  const help = await box.ok('--help');
  for (const name of [
    'pack',
    'push',
    'pull',
    'unpack',
    'tag',
    'list',
    'inspect',
    'info',
    'diff',
    'remove',
    'login',
    'logout',
    'init',
    'version',
  ])
    expect(help).toContain(`\n  ${name} `);
  expect(await box.ok([])).toBe(help);
  expect(await box.ok('help')).toBe(help);
  expect(await box.ok('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(await box.ok('unpack --help')).toContain('Examples:');
  expect(await box.ok('help unpack')).toBe(await box.ok('unpack --help'));
});
