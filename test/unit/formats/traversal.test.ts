import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CODES, isKitError } from '../../../src/errors.ts';
import { convert, createKit, gitopsPull, type Kit, load, type Location, parseLocation, unpack } from '../../../src/index.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import {
  dockerArtifact,
  type MadeArtifact,
  type MadeLayer,
  makeLayout,
  modelpackArtifact,
  omlmdArtifact,
} from '../../e2e/formats-layout.ts';

const ABSOLUTE = '/kit-traversal-evil.txt';
/** Each would put a file elsewhere, here or on another system. */
const PATHS = ['../evil', '..', ABSOLUTE, 'a/../../evil', 'a\\..\\..\\evil', '..\\evil', 'C:/evil', 'a\u0000/../../evil', ''];

const TAR = 'application/vnd.oci.image.layer.v1.tar';
const EMPTY = { type: 'application/vnd.oci.empty.v1+json', json: '{}' };
const IMAGE = 'application/vnd.oci.image.config.v1+json';

interface Entry {
  readonly name: string;
  readonly type?: '0' | '1' | '2' | '5' | 'L' | 'K' | 'x';
  readonly link?: string;
  readonly content?: string;
}

/** A tar archive as any program could write it. */
function tar(...entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, type = '0', link = '', content = '' }) => {
    const header = Buffer.alloc(512);
    const size = Buffer.byteLength(content).toString(8).padStart(11, '0');
    const fields: readonly [number, string][] = [
      [0, name.slice(0, 100)],
      [100, '0000644\0'],
      [108, '0000000\0'],
      [116, '0000000\0'],
      [124, `${size}\0`],
      [136, '00000000000\0'],
      [148, ' '.repeat(8)],
      [156, type],
      [157, link],
      [257, 'ustar\u000000'],
    ];
    for (const [offset, text] of fields) header.write(text, offset);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, Buffer.from(content), Buffer.alloc((512 - (Buffer.byteLength(content) % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const pax = (key: string, value: string): Entry => {
  const line = ` ${key}=${value}\n`;
  const length = Buffer.byteLength(line) + 2;
  return { name: 'pax', type: 'x', content: `${length}${line}` };
};

/** Ways in which an archive can name `path`; `at` is the folder that a format takes its files from. */
const ENTRIES: Readonly<Record<string, (path: string, at: string) => readonly Entry[]>> = {
  'a file': (path) => [{ name: path, content: 'x' }],
  'a file after a good one': (path, at) => [
    { name: `${at}good`, content: 'y' },
    { name: path, content: 'x' },
  ],
  'a file that climbs out of its folder': (path, at) => [{ name: `${at}d/../../../../${path}`, content: 'x' }],
  'a folder': (path) => [{ name: `${path}/`, type: '5' }],
  'a long name of GNU': (path) => [
    { name: '././@LongLink', type: 'L', content: `${path}\0` },
    { name: 'short', content: 'x' },
  ],
  'a name of pax': (path) => [pax('path', path), { name: 'short', content: 'x' }],
  'a symbolic link': (path, at) => [{ name: `${at}link`, type: '2', link: path }],
  'a symbolic link of pax': (path, at) => [pax('linkpath', path), { name: `${at}link`, type: '2', link: 'good' }],
  'a hard link': (path, at) => [{ name: `${at}link`, type: '1', link: path }],
  'a file below a link': (path, at) => [
    { name: `${at}link`, type: '2', link: path },
    { name: `${at}link/evil`, content: 'x' },
  ],
};

const layer = (type: string, bytes: string | Uint8Array, annotations: Readonly<Record<string, string>> = {}): MadeLayer => ({
  type,
  bytes,
  annotations,
});

/** Formats whose layers are archives, by what makes an artifact of one. */
const ARCHIVES: Readonly<Record<string, (archive: Buffer) => MadeArtifact>> = {
  ModelKit: (archive) => modelkit('tar', archive, 'm'),
  'ModelKit, compressed': (archive) => modelkit('tar+gzip', gzipSync(archive), 'm'),
  'ModelPack, tar': (archive) => modelpackLayer('tar', archive),
  'ModelPack, tar+gzip': (archive) => modelpackLayer('tar+gzip', gzipSync(archive), digestOf(archive)),
  "Docker's dir.tar": (archive) => dockerTar('dir.tar', archive),
  "Docker's vllm.config.tar": (archive) => dockerTar('vllm.config.tar', archive),
  'an image': (archive) => image(archive, {}),
  'a Modelcar': (archive) => image(archive, { 'org.cncf.model.filepath': 'models/m' }),
  "a Modelcar of olot's": (archive) => image(archive, { 'olot.layer.content.inlayerpath': '/models/m' }),
  'a folder of oras': (archive) => ({
    config: EMPTY,
    layers: [layer(`${TAR}+gzip`, gzipSync(archive), { 'org.opencontainers.image.title': 'd', 'io.deis.oras.content.unpack': 'true' })],
  }),
  'a chart': (archive) => ({ config: EMPTY, layers: [layer('application/vnd.cncf.helm.chart.content.v1.tar+gzip', gzipSync(archive))] }),
};

/** Where else a path can stand, and be used. */
const NAMES: Readonly<Record<string, (path: string) => MadeArtifact>> = {
  'ModelKit, raw: the Kitfile': (path) => modelkit('raw', Buffer.from('x'), path),
  'ModelPack: filepath': (path) =>
    modelpackArtifact([
      ['doc', 'ok', 'y'],
      ['weight', path, 'x'],
    ]),
  'ModelPack: title': (path) => modelpackTitled(path),
  'ModelPack, before the CNCF: filepath': (path) =>
    modelpackArtifact(
      [
        ['doc', 'ok', 'y'],
        ['weight', path, 'x'],
      ],
      'cnai',
    ),
  'Docker, v0.1: filepath': (path) =>
    dockerArtifact(1, [
      ['gguf.v3', path, 'x'],
      ['license', 'ok', 'y'],
    ]),
  'Docker, v0.2: filepath': (path) =>
    dockerArtifact(2, [
      ['safetensors', path, 'x'],
      ['model.file', 'ok', 'y'],
    ]),
  'OMLMD: title': (path) => omlmdArtifact(path),
  'an artifact: title': (path) => ({
    config: EMPTY,
    layers: [layer('text/plain', 'x', { 'org.opencontainers.image.title': path })],
    manifest: { artifactType: 'application/x.other' },
  }),
};

function modelkit(encoding: string, bytes: Uint8Array, path: string): MadeArtifact {
  const json = { manifestVersion: '1.0.0', package: { name: 'm' }, model: { name: 'm', path } };
  return {
    config: { type: 'application/vnd.kitops.modelkit.config.v1+json', json },
    layers: [layer(`application/vnd.kitops.modelkit.model.v1.${encoding}`, bytes)],
    manifest: { artifactType: 'application/vnd.kitops.modelkit.manifest.v1+json' },
  };
}

function modelpackLayer(encoding: string, bytes: Buffer, diffId = digestOf(bytes)): MadeArtifact {
  const made = modelpackArtifact([], 'cncf', { descriptor: {}, config: {}, modelfs: { type: 'layers', diffIds: [diffId] } });
  return { ...made, layers: [layer(`application/vnd.cncf.model.weight.v1.${encoding}`, bytes, { 'org.cncf.model.filepath': 'm' })] };
}

function modelpackTitled(path: string): MadeArtifact {
  const made = modelpackArtifact([['weight', path, 'x']]);
  return { ...made, layers: made.layers.map(({ type, bytes }) => layer(type, bytes, { 'org.opencontainers.image.title': path })) };
}

function dockerTar(type: string, archive: Buffer): MadeArtifact {
  const made = dockerArtifact(1, [['gguf.v3', 'm.gguf', 'x']], { format: 'gguf' });
  const json = {
    config: { format: 'gguf' },
    descriptor: {},
    rootfs: { type: 'rootfs', diff_ids: [digestOf(Buffer.from('x')), digestOf(archive)] },
  };
  return { config: { ...made.config, json }, layers: [...made.layers, layer(`application/vnd.docker.ai.${type}`, archive)] };
}

function image(archive: Buffer, annotations: Readonly<Record<string, string>>): MadeArtifact {
  const json = { architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [digestOf(archive)] } };
  return { config: { type: IMAGE, json }, layers: [layer(TAR, archive, annotations)] };
}

interface Setup {
  readonly kit: Kit;
  readonly root: string;
  /** Two folders below the root, so that `../..` ends in it. */
  readonly directory: string;
  /** Writes a layout, and says where it is. */
  readonly place: (made: MadeArtifact) => Promise<Location>;
  /** That nothing is there but what the test wrote. */
  readonly expectNothing: (what: string) => Promise<void>;
}

async function setUp(): Promise<Setup> {
  const root = await mkdtemp(join(tmpdir(), 'kit-traversal-'));
  const kit = createKit({ home: join(root, 'home'), env: { HOME: root } });
  onTestFinished(async () => {
    await kit.close();
    await rm(root, { recursive: true, force: true });
  });
  let count = 0;
  return {
    kit,
    root,
    directory: join(root, 'work', 'a', 'out'),
    async place(made) {
      const layout = join(root, 'made', String((count += 1)));
      await makeLayout(layout, made);
      return parseLocation(`oci:${layout}:v1`);
    },
    async expectNothing(what) {
      expect(
        (await readdir(root)).filter((name) => name !== 'home' && name !== 'made'),
        what,
      ).toEqual([]);
      expect(existsSync(ABSOLUTE), what).toBe(false);
    },
  };
}

/** How `work` ended, once nothing is written that should not be: refused as what it is, or else. */
async function outcomeOf({ expectNothing }: Setup, work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => 'it was accepted',
    (cause: unknown) => cause,
  );
  const outcome = isKitError(error) && CODES[error.code].exit === 'integrity' ? 'refused' : String(error);
  await expectNothing(outcome);
  return outcome;
}

// in a header these are no name, and a name that ends before its NUL
const TAR_PATHS = PATHS.filter((path) => path !== '' && !path.includes('\0'));

const FEW_PATHS = ['a/../../evil'];

describe('no entry of an archive leaves the directory', () => {
  const cases = Object.keys(ARCHIVES).flatMap((format) => Object.keys(ENTRIES).map((entry) => [format, entry] as const));

  test.each(cases)('%s: %s', async (format, entry) => {
    const setup = await setUp();
    const at = format.includes('Modelcar') ? 'models/' : '';
    // one reader serves them all: each path with one of them
    for (const path of format === 'ModelKit' ? TAR_PATHS : FEW_PATHS) {
      const made = ARCHIVES[format]?.(tar(...(ENTRIES[entry]?.(path, at) ?? [])));
      if (made === undefined) throw new Error(format);
      const source = await setup.place(made);
      expect(await outcomeOf(setup, unpack(setup.kit, { source, directory: setup.directory })), JSON.stringify(path)).toBe('refused');
    }
  });

  test.each(Object.keys(ENTRIES))('manifests for GitOps: %s', async (entry) => {
    const setup = await setUp();
    for (const path of FEW_PATHS) {
      const bytes = gzipSync(tar(...(ENTRIES[entry]?.(path, '') ?? [])));
      const source = await setup.place({ config: EMPTY, layers: [layer(`${TAR}+gzip`, bytes)] });
      expect(await outcomeOf(setup, gitopsPull(setup.kit, { source, directory: setup.directory })), JSON.stringify(path)).toBe('refused');
    }
  });
});

describe('no annotation and no Kitfile leaves the directory', () => {
  test.each(Object.keys(NAMES))('%s', async (place) => {
    const setup = await setUp();
    for (const path of PATHS) {
      const made = NAMES[place]?.(path);
      if (made === undefined) throw new Error(place);
      const source = await setup.place(made);
      expect(await outcomeOf(setup, unpack(setup.kit, { source, directory: setup.directory })), JSON.stringify(path)).toBe('refused');
      const destination = parseLocation(`oci:${join(setup.root, 'made', 'car')}:v1`);
      await expect(convert(setup.kit, { source, destination, to: 'modelcar' }), path).rejects.toSatisfy(isKitError);
      await setup.expectNothing(path);
    }
  });

  test('the name in the metadata of a file is not its path', async () => {
    const { kit, root, directory, place } = await setUp();
    const metadata = JSON.stringify({ name: '../evil', mode: 0o644, size: 1, typeflag: 48 });
    const made = modelpackArtifact([['weight', 'w', 'x']]);
    const annotations = { 'org.cncf.model.filepath': 'w', 'org.cncf.model.file.metadata+json': metadata };
    const source = await place({ ...made, layers: made.layers.map(({ type, bytes }) => layer(type, bytes, annotations)) });
    await unpack(kit, { source, directory });
    expect(await readdir(join(root, 'work', 'a'))).toEqual(['out']);
    expect(await readdir(directory)).toContain('w');
  });
});

/** A sound artifact in `made/1` with other words in its index. */
async function setUpIndex(change: object): Promise<Setup & { readonly layout: string }> {
  const setup = await setUp();
  await setup.place(modelpackArtifact([['weight', 'w', 'x']]));
  const layout = join(setup.root, 'made', '1');
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as { manifests: object[] };
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ ...index, manifests: index.manifests.map((entry) => ({ ...entry, ...change })) }),
  );
  return { ...setup, layout };
}

describe('no index leaves the layout', () => {
  test.each([
    ['a digest', { digest: `sha256:../../../../../../..${ABSOLUTE}` }],
    ['the algorithm of a digest', { digest: `../../evil:${'a'.repeat(64)}` }],
    ['a media type', { mediaType: '../../evil' }],
  ])('%s', async (_, change) => {
    const { kit, layout, directory, expectNothing } = await setUpIndex(change);
    await expect(unpack(kit, { source: parseLocation(`oci:${layout}:v1`), directory })).rejects.toSatisfy(isKitError);
    await expectNothing(layout);
  });

  test.each(['../../evil', '../../evil:v1', `${ABSOLUTE}:v1`, 'a/../../evil:v1'])('the name %s becomes no path', async (name) => {
    const { kit, root, layout, expectNothing } = await setUpIndex({ annotations: { 'org.opencontainers.image.ref.name': name } });
    const archive = join(root, 'made', 'archive.tar');
    expect(spawnSync('tar', ['-cf', archive, '-C', layout, '.']).status).toBe(0);
    await load(kit, { input: archive }).catch(() => undefined);
    await expectNothing(name);
    expect((await readdir(join(root, 'home'), { recursive: true })).filter((one) => one.includes('evil'))).toEqual([]);
  });
});
