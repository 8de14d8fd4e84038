import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { copyGoldenInput, GOLDEN, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const HOST = 'localhost:5680/golden';
/** What `host/golden` is in the output of a run. */
const MASKED = '127.0.0.1:55555/golden';
const ARTIFACTS = ['kit-modelkit-tar', 'kit-modelkit-gzip', 'kit-catchall-tar'] as const;

interface Inspected {
  readonly digest: string;
  readonly manifest: { readonly config: { readonly digest: string }; readonly layers: readonly { readonly digest: string }[] };
}

const output = async (name: string) => await readFile(join(GOLDEN, 'kit-output', name), 'utf8');
/** The same, for a registry on this host. */
const theirs = async (file: string) => (await output(file)).replaceAll(HOST, MASKED);
const layout = (name: string) => `oci:${join(GOLDEN, name)}:v1`;

/** Text that was printed by the other kit keeps its rows in no order. */
const sortedLines = (text: string) => text.split('\n').toSorted();

/** The numbers that the other kit rounds. */
const exactNumbers = (text: string) =>
  text
    .replace('1.2345678901234567e+19', '12345678901234567890')
    .replace('12345678901234567000', '12345678901234567890')
    .replace('million: 1e+06', 'million: 1000000')
    .replace(/huge_float: .*/, 'huge_float: 1e+21')
    .replace(/tiny_float: .*/, 'tiny_float: 1e-07');

const cells = (text: string) => text.split('\n').map((line) => line.split(/ {2,}/));

const byName = (text: string) =>
  (JSON.parse(text) as { repo: string; digest: string }[]).toSorted((a, b) => (a.repo + a.digest < b.repo + b.digest ? -1 : 1));

const withoutManifest = (text: string) => text.replaceAll(/(manifest[\w ]*|Model saved): sha256:\w+/gi, '$1');

const withoutPlace = (text: string) => sortedLines(text.replaceAll(/(?:localhost:5680\/golden\/|oci:copy-)(kit-[\w-]+):v1/g, '$1'));

describe('artifacts of KitOps', () => {
  test('packing the golden input gives the same layers and the same config', async () => {
    const box = await sandbox();
    await copyGoldenInput(box.path('src'));
    await box.ok(`pack src -t ${HOST}/kit-modelkit-tar:v1`);
    const ours = JSON.parse(await box.ok(`inspect ${HOST}/kit-modelkit-tar:v1`)) as Inspected;
    const theirs = JSON.parse(await output('inspect-tar.txt')) as Inspected;
    expect(ours.manifest.layers.map(({ digest }) => digest)).toEqual(theirs.manifest.layers.map(({ digest }) => digest));
    expect(ours.manifest.config.digest).toBe(theirs.manifest.config.digest);
  });

  test('pack prints what kit prints, the first time and again', async () => {
    const box = await sandbox();
    await copyGoldenInput(box.path('src'));
    for (const file of ['pack-tar.txt', 'pack-tar-again.txt']) {
      const stdout = await box.ok(`pack src -t ${HOST}/kit-modelkit-tar:v1`);
      expect(sortedLines(withoutManifest(stdout))).toEqual(sortedLines(withoutManifest(await output(file))));
    }
  });

  test.each([
    ['kit-modelkit-tar', 'inspect-tar.txt'],
    ['kit-modelkit-gzip', 'inspect-gzip.txt'],
  ])('inspect of %s', async (name, file) => {
    const box = await sandbox();
    expect(await box.ok(['inspect', layout(name)])).toBe(exactNumbers(await output(file)));
  });

  test('info, whole and one field', async () => {
    const box = await sandbox();
    expect(await box.ok(['info', layout('kit-modelkit-tar')])).toBe(exactNumbers(await output('info-tar.txt')));
    expect(await box.ok(['info', layout('kit-modelkit-tar'), '-f', 'model.path'])).toBe(await output('info-filter-model.path.txt'));
  });

  test('diff prints the same rows', async () => {
    const box = await sandbox();
    for (const name of ARTIFACTS) await box.ok(['push', layout(name), `oci:copy-${name}:v1`]);
    const diff = async (a: string, b: string) => withoutPlace(await box.ok(`diff oci:copy-${a}:v1 oci:copy-${b}:v1`));
    expect(await diff('kit-modelkit-tar', 'kit-modelkit-gzip')).toEqual(withoutPlace(await output('diff-tar-gzip.txt')));
    expect(await diff('kit-modelkit-tar', 'kit-catchall-tar')).toEqual(withoutPlace(await output('diff-tar-catchall.txt')));
    expect(await diff('kit-modelkit-tar', 'kit-modelkit-tar')).toEqual(withoutPlace(await output('diff-identical.txt')));
  });

  test('unpack prints the same lines', async () => {
    const box = await sandbox();
    const stdout = await box.ok(['unpack', layout('kit-modelkit-tar'), '-d', 'out']);
    expect(stdout).toBe((await output('unpack-tar.txt')).replaceAll('<DIR>', '<TMP>/out'));
  });

  test.each(ARTIFACTS)('%s unpacks to the input', async (name) => {
    const box = await sandbox();
    await copyGoldenInput(box.path('src'));
    await box.ok(['unpack', layout(name), '-d', 'out']);
    const left = ['.kitignore', 'a..b.txt', 'src/scratch.tmp', 'src/lib/cache.tmp'];
    // what the other kit lost in the catch-all layer; see the README of the golden artifacts
    const lost = name === 'kit-catchall-tar' ? ['data-v2/', 'data-v2/x.csv'] : [];
    const expected = (await box.tree('src')).filter((path) => !left.includes(path) && !lost.includes(path));
    expect(await box.tree('out')).toEqual(expected);
    for (const path of expected.filter((one) => !one.endsWith('/') && one !== 'Kitfile'))
      expect(await readFile(box.path('out', path)), path).toEqual(await readFile(box.path('src', path)));
  });
});

describe('a registry with the artifacts of KitOps', () => {
  test('push, list of the repository and of local storage print what kit prints', async () => {
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const box = await sandbox();
    const host = `${registry.host}/golden`;
    for (const [name, file] of [
      ['kit-modelkit-tar', 'push-tar.txt'],
      ['kit-modelkit-gzip', 'push-gzip.txt'],
      ['kit-catchall-tar', 'push-catchall.txt'],
    ] as const)
      // kit had it under the name of the registry
      expect(await box.ok(['push', layout(name), `${host}/${name}:v1`])).toBe(
        (await theirs(file)).replace('Pushing ', `Pushing ${layout(name)} to `),
      );
    expect(await box.ok(`list ${host}/kit-modelkit-tar`)).toBe(await theirs('list-remote.txt'));
    for (const name of ARTIFACTS) await box.ok(`pull ${host}/${name}:v1`);
    // columns are as wide as the name of the host
    expect(cells(await box.ok('list'))).toEqual(cells(await theirs('list.txt')));
    expect(await box.ok('list --format json')).toBe(await theirs('list.json'));
    const template = '{{ .Repo }} {{ .Digest }} {{ .Tags }} {{ .ModelName }} {{ .Size }} {{ .Author }}';
    expect(await box.ok(['list', '--format', template])).toBe(await theirs('list-template.txt'));
  });
});

describe('a storage of KitOps', () => {
  test('is listed as kit lists it', async () => {
    const box = await sandbox();
    await cp(join(GOLDEN, 'kit-home'), box.home, { recursive: true });
    // the other kit takes repositories in the order of their file names, here they are sorted
    expect(await box.ok('list')).toEqual(await output('kit-home-list.txt'));
    expect(byName(await box.ok('list --format json'))).toEqual(byName(await output('kit-home-list.json')));
  });

  test('remove keeps blobs that another repository needs', async () => {
    const box = await sandbox();
    await cp(join(GOLDEN, 'kit-home'), box.home, { recursive: true });
    await box.ok('remove tiny:v1');
    const blobs = await readdir(box.path('home/storage/blobs/sha256'));
    const { manifest } = JSON.parse(await box.ok(`inspect ${HOST}/other:v1`)) as Inspected;
    for (const { digest } of [manifest.config, ...manifest.layers]) expect(blobs).toContain(digest.slice('sha256:'.length));
    expect(await box.ok('list')).not.toContain('tiny   v1');
    await box.ok(`unpack ${HOST}/other:v1 -d out`);
  });
});
