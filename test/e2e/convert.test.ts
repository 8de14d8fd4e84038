import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { copyGoldenInput, GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { makeLayout, modelpackArtifact } from './formats-layout.ts';

interface Result {
  readonly digest: string;
  readonly sourceDigest: string;
  readonly layers: readonly { readonly path: string; readonly digest: string; readonly reused: boolean }[];
  readonly lost: readonly string[];
  readonly moved: { readonly bytes: number };
}

/** What `kit inspect` prints of an artifact. */
interface Inspected {
  readonly digest: string;
  readonly format?: string;
  readonly manifest: {
    readonly artifactType?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string; readonly mediaType: string; readonly size: number }[];
  };
}

const inspect = async (box: Sandbox, reference: string): Promise<Inspected> =>
  JSON.parse(await box.ok(`inspect ${reference}`)) as Inspected;

async function packed(flags = ''): Promise<Sandbox> {
  const box = await sandbox();
  await copyGoldenInput(box.path('src'));
  await box.ok(`pack src -t tiny:v1${flags}`);
  return box;
}

async function convert(box: Sandbox, args: string): Promise<Result> {
  return JSON.parse(await box.ok(`convert ${args} --format json`)) as Result;
}

const digestOf = async (box: Sandbox, reference: string) => (await inspect(box, reference)).digest;

describe('round trips', () => {
  test.each(['modelpack', 'modelcar'])('by %s a ModelKit comes back with its digest', async (to) => {
    const box = await packed();
    const { digest, lost } = await convert(box, `tiny:v1 tiny:there --strict --to ${to}`);
    expect(lost).toEqual([]);
    expect(digest).not.toBe(await digestOf(box, 'tiny:v1'));
    const back = await convert(box, 'tiny:there tiny:back --strict --to modelkit');
    expect(back.digest).toBe(await digestOf(box, 'tiny:v1'));
  });

  test.each(['docker-model', 'omlmd', 'modelpack --layer-format raw'])('by %s all but an empty folder comes back', async (to) => {
    const box = await packed();
    expect((await box.kit(`convert tiny:v1 tiny:there --strict --to ${to}`)).stderr).toContain('src/empty');
    const { lost } = await convert(box, `tiny:v1 tiny:there --to ${to}`);
    expect(lost).toEqual([expect.stringContaining('src/empty is an empty directory')]);
    await convert(box, 'tiny:there tiny:back --strict --to modelkit --layer-format tar');
    await box.ok('unpack tiny:back -d out');
    await box.ok('unpack tiny:v1 -d whole');
    expect(await box.tree('out')).toEqual((await box.tree('whole')).filter((path) => path !== 'src/empty/'));
    expect((await stat(box.path('out/src/run.sh'))).mode & 0o777).toBe(0o755);
    expect(await readFile(box.path('out/weights/model-00001-of-00002.safetensors'))).toEqual(
      await readFile(box.path('src/weights/model-00001-of-00002.safetensors')),
    );
  });

  // omlmd keeps the order of parameters, which a ModelKit does not have
  test.each(['docker-model', 'modelpack'])('what pack writes as %s, convert writes too', async (to) => {
    const box = await packed();
    await box.ok(`pack src -t tiny:packed --to ${to}`);
    const { digest } = await convert(box, `tiny:v1 tiny:converted --to ${to}${to === 'modelpack' ? ' --layer-format raw' : ''}`);
    expect(digest).toBe(await digestOf(box, 'tiny:packed'));
  });

  test("another tool's config survives where both formats hold it, and what is lost is named", async () => {
    const box = await sandbox();
    const { lost } = await convert(box, `oci:${join(GOLDEN, 'modctl-raw')}:v1 tiny:kit --to modelkit`);
    const there = await convert(box, `oci:${join(GOLDEN, 'modctl-raw')}:v1 oci:out:v1 --to docker-model`).catch((error: unknown) => error);
    expect(there).not.toBeInstanceOf(Error);
    await convert(box, 'oci:out:v1 oci:out:back --to modelpack');
    for (const reference of ['oci:out:back', 'tiny:kit']) {
      const info = await box.ok(`info ${reference}`);
      for (const fact of ['architecture: transformer', 'precision: bfloat16']) expect(info, reference).toContain(fact);
    }
    expect(lost.every((line) => line.endsWith('of the config'))).toBe(true);
  });
});

describe('layers', () => {
  test('that fit are taken by their digests, and nothing is read', async () => {
    const box = await packed();
    const before = (await inspect(box, 'tiny:v1')).manifest.layers.map(({ digest }) => digest);
    const { layers } = await convert(box, 'tiny:v1 tiny:there --to modelpack');
    expect(layers.map(({ digest }) => digest)).toEqual(before);
    expect(layers.every(({ reused }) => reused)).toBe(true);
  });

  test('raw ones stay raw in every format of files', async () => {
    const box = await packed(' --use-model-pack');
    const before = (await inspect(box, 'tiny:v1')).manifest.layers.map(({ digest }) => digest);
    for (const to of ['docker-model', 'omlmd']) {
      const { layers } = await convert(box, `tiny:v1 tiny:${to} --to ${to}`);
      expect(layers.map(({ digest }) => digest).toSorted(), to).toEqual(before.toSorted());
      expect(layers.every(({ reused }) => reused)).toBe(true);
    }
  });

  test.each(['gzip', 'zstd'])('compressed with %s are unpacked where the format has no compression', async (compression) => {
    const box = await packed(` --compression ${compression}`);
    await convert(box, 'tiny:v1 tiny:plain --to modelkit --layer-format tar');
    await box.ok('pack src -t tiny:wanted');
    expect(await digestOf(box, 'tiny:plain')).toBe(await digestOf(box, 'tiny:wanted'));
    await convert(box, 'tiny:v1 tiny:raw --to docker-model');
    await box.ok('pack src -t tiny:docker --to docker-model');
    expect(await digestOf(box, 'tiny:raw')).toBe(await digestOf(box, 'tiny:docker'));
  });

  test('one compressed file finds its place in an archive', async () => {
    const box = await sandbox();
    await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m.gguf}\n', 'src/m.gguf': 'x'.repeat(5000) });
    await box.ok('pack src -t m:v1 --layer-format raw --compression gzip');
    await convert(box, 'm:v1 m:tar --to modelkit --layer-format tar');
    await box.ok('pack src -t m:wanted');
    expect(await digestOf(box, 'm:tar')).toBe(await digestOf(box, 'm:wanted'));
  });
});

describe('registries', () => {
  test('in one registry layers are mounted, and nothing is stored here', async () => {
    const box = await packed();
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    await box.ok(`push tiny:v1 ${registry.host}/team/kit:v1 --plain-http`);
    registry.clear();
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    const text = await box.ok(
      `convert ${registry.host}/team/kit:v1 ${registry.host}/team/pack:v1 --to modelpack --plain-http --format json`,
      elsewhere,
    );
    const { layers, digest } = JSON.parse(text) as Result;
    expect(layers.every(({ reused }) => reused)).toBe(true);
    expect(registry.log().filter((line) => line.includes('team/kit/blobs') && line.startsWith('GET'))).toHaveLength(1);
    expect(registry.storage.find('team/pack')?.tags.get('v1')).toBe(digest);
    await box.ok(`unpack ${registry.host}/team/pack:v1 -d out --plain-http`, elsewhere);
    expect(await box.tree('out')).toContain('src/run.sh');
  });

  test('a layer whose bytes are others ends it, and no manifest is written', async () => {
    const box = await packed(' --compression gzip');
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    await box.ok(`push tiny:v1 ${registry.host}/team/kit:v1 --plain-http`);
    const { layers } = (await inspect(box, 'tiny:v1')).manifest;
    const { digest = '', size = 0 } = layers[4] ?? {};
    const match = new RegExp(`^GET .*${digest}`);
    registry.behaviour.faults.push({ match, status: 200, headers: { 'content-type': 'application/octet-stream' }, body: 'x'.repeat(size) });
    const run = await box.kit(`convert ${registry.host}/team/kit:v1 oci:out:v1 --to docker-model --plain-http`);
    expect([run.status, run.stderr]).toEqual([6, expect.stringContaining(digest)]);
    expect(JSON.parse(await readFile(box.path('out/index.json'), 'utf8'))).toMatchObject({ manifests: [] });
  });
});

describe('Modelcar', () => {
  test('layers are archives below models, for root, with the modes that KServe needs', async () => {
    const box = await packed();
    const { layers, digest } = await convert(box, 'tiny:v1 oci:car:v1 --to modelcar --platform linux/arm64/v8');
    const { manifest, format } = await inspect(box, 'oci:car:v1');
    expect(format).toBe('modelcar');
    expect(manifest.artifactType).toBeUndefined();
    expect(manifest.annotations).toHaveProperty(['dev.ocikit.source.digest'], await digestOf(box, 'tiny:v1'));
    expect(new Set(manifest.layers.map(({ mediaType }) => mediaType))).toEqual(new Set(['application/vnd.oci.image.layer.v1.tar']));
    expect(layers.map(({ path }) => path)).toContain('weights');
    expect((await convert(box, 'tiny:v1 oci:again:v1 --to modelcar --platform linux/arm64/v8')).digest).toBe(digest);
  });

  test('for several platforms and with a ModelPack beside them: one tag, the same blobs', async () => {
    const box = await packed();
    await convert(box, 'tiny:v1 oci:car:v1 --to modelcar --with-modelpack');
    const index = JSON.parse(await readFile(box.path('car/index.json'), 'utf8')) as { manifests: { digest: string }[] };
    const read = async (digest = ''): Promise<{ manifests: { digest: string; platform: object }[]; layers: { digest: string }[] }> =>
      JSON.parse(await readFile(box.path('car/blobs', digest.replace(':', '/')), 'utf8')) as never;
    const { manifests } = await read(index.manifests[0]?.digest);
    expect(manifests.map(({ platform }) => platform)).toEqual([
      { architecture: 'amd64', os: 'linux' },
      { architecture: 'arm64', os: 'linux' },
      { architecture: 'unknown', os: 'unknown' },
    ]);
    const all = await Promise.all(manifests.map(async ({ digest }) => (await read(digest)).layers.map((layer) => layer.digest)));
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
    // by its digest the ModelPack is one of its own, with its files where they are in the image
    await box.ok(['unpack', `oci:car@${manifests[2]?.digest}`, '-d', 'pack']);
    await box.ok('unpack oci:car:v1 -d out');
    expect((await box.tree('pack')).filter((path) => path.startsWith('models/')).length).toBeGreaterThan(20);
    expect(await readFile(box.path('pack/Kitfile'), 'utf8')).toContain('path: models/weights');
    expect(await box.tree('out')).toContain('weights/model.safetensors.index.json');
  });

  test("on a base: its layers and config stay, and the base's own files are no part of the model", async () => {
    const box = await packed();
    const base = `oci:${join(GOLDEN, 'modelcar')}:v1`;
    await convert(box, `tiny:v1 oci:car:v1 --to modelcar --base ${base}`);
    const { manifest } = await inspect(box, 'oci:car:v1');
    const below = (await inspect(box, base)).manifest;
    expect(manifest.layers.slice(0, 3).map(({ digest }) => digest)).toEqual(below.layers.map(({ digest }) => digest));
    const config = JSON.parse(await readFile(box.path('car/blobs', manifest.config.digest.replace(':', '/')), 'utf8')) as {
      author: string;
      rootfs: { diff_ids: string[] };
      history: { created: string; created_by: string }[];
    };
    expect(config.author).toBe('Alice Example');
    expect(config.rootfs.diff_ids).toHaveLength(manifest.layers.length);
    expect(config.history.map(({ created_by }) => created_by).slice(2, 5)).toEqual([
      'ADD weights.tar',
      'kit convert: models/weights',
      'kit convert: models/config.json',
    ]);
    await box.ok('unpack oci:car:v1 -d out');
    await box.ok('unpack tiny:v1 -d whole');
    expect(await box.tree('out')).toEqual(await box.tree('whole'));
    expect(await box.kit(`convert tiny:v1 oci:car:v2 --to modelcar --base ${base} --platform linux/s390x`)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('has no image for linux/s390x') as string,
    });
  });

  test('of olot is read: files in the folders where the image has them', async () => {
    const box = await sandbox();
    const image = 'sha256:12535b7baf502d9e141c857946fe7b0f5c697d8678ea9d34dd156274eb205e07';
    await box.ok(`unpack oci:${join(GOLDEN, 'modelcar-olot')}@${image} -d out`);
    expect(await box.tree('out')).toEqual(expect.arrayContaining(['config.json', 'weights/model-00001-of-00002.safetensors', 'README.md']));
    const files = await box.ok(`convert oci:${join(GOLDEN, 'modelcar-olot')}@${image} tiny:olot --to modelpack`);
    expect(files).toContain('5 made');
  });
});

describe('what is refused', () => {
  test('an image that is no model, a format without the file that it needs, a flag of another format', async () => {
    const box = await packed();
    expect(await box.kit(`convert oci:${join(GOLDEN, 'modelcar')}:v1 tiny:x --to modelkit`)).toMatchObject({ status: 1 });
    await box.write({ 'bare/Kitfile': 'manifestVersion: 1.0.0\ndocs: [{path: notes.txt}]\n', 'bare/notes.txt': 'x' });
    await box.ok('pack bare -t bare:v1');
    const run = await box.kit('convert bare:v1 oci:never:v1 --to docker-model');
    expect([run.status, run.stderr]).toEqual([1, expect.stringContaining('names no such file')]);
    await expect(stat(box.path('never'))).rejects.toThrow('ENOENT');
    for (const flags of [
      '',
      '--to tarball',
      '--to modelpack --base x',
      '--to modelcar --layer-format raw',
      '--to omlmd --layer-format tar',
    ])
      expect((await box.kit(`convert tiny:v1 tiny:x ${flags}`)).status, flags).not.toBe(0);
  });

  test('a path out of the target, in an annotation', async () => {
    const box = await sandbox();
    await makeLayout(box.path('evil'), modelpackArtifact([['weight', '../../escape.gguf', 'x']]));
    for (const to of ['modelkit --layer-format tar', 'modelcar', 'docker-model']) {
      const run = await box.kit(`convert oci:evil:v1 oci:out:v1 --to ${to}`);
      expect([run.status, run.stderr], to).toEqual([6, expect.stringContaining('leaves the directory')]);
    }
  });

  test('a ModelKit whose model is another ModelKit', async () => {
    const box = await packed();
    await box.write({ 'top/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: "tiny:v1"}\n' });
    await box.ok('pack top -t top:v1');
    expect((await box.kit('convert top:v1 top:car --to modelcar')).stderr).toContain('convert tiny:v1');
  });
});
