import { describe, expect, test } from 'vitest';
import { treeHtml } from '../../../src/cli/render/tree-html.ts';
import { treeLines } from '../../../src/cli/render/tree-text.ts';
import { parseLocation, sign } from '../../../src/index.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { lineage, type LineageNode, type LineageResult } from '../../../src/operations/tree/tree.ts';
import { makeKey } from '../signing/operations-setup.ts';
import { attachLegacy, pushBlob, pushManifest, simplePayload } from '../signing/sample-signatures.ts';
import { pushIndex } from '../targets/sample.ts';
import { pushRelease, releaseSetting, type ReleaseSetting } from './history-setting.ts';

async function show({ kit, name, call }: ReleaseSetting, tag: string): Promise<LineageResult> {
  return await lineage(kit, { location: parseLocation(`${name}:${tag}`), lookup: 'remote' }, call);
}

/** `relation name` of each node, with what is below it. */
function shape({ relation, name, children }: LineageNode): unknown {
  const label = name === undefined ? relation : `${relation} ${name}`;
  return children.length === 0 ? label : [label, ...children.map(shape)];
}

/** Something that refers to `subject`. */
async function attach(
  { target }: ReleaseSetting,
  subject: Descriptor,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Descriptor> {
  return await pushManifest(target, { artifactType: 'application/spdx+json', subject, ...fields });
}

describe('everything around an artifact', () => {
  test('bases, datasets, origins, signatures, SBOMs with theirs, images', async () => {
    const setting = await releaseSetting();
    const { kit, target, name, releases, registry } = setting;
    const { signer } = makeKey();
    const { manifest } = await pushRelease(target, 'tuned', {
      model: { path: `${name}:1.0.0` },
      datasets: [
        { name: 'set', path: 'data' },
        { name: 'far', remotePath: 's3://bucket/far' },
      ],
      annotations: { 'org.opencontainers.image.source': 'https://huggingface.co/org/m', 'org.opencontainers.image.revision': 'abc' },
    });
    // a model that is a reference has no layer
    const raw = JSON.parse(String(registry.storage.find('team/model')?.manifests.get(manifest.digest)?.bytes)) as {
      layers: { mediaType: string }[];
    };
    const tuned = Buffer.from(JSON.stringify({ ...raw, layers: raw.layers.filter(({ mediaType }) => mediaType.includes('dataset')) }));
    const root = registry.addManifest('team/model', tuned, 'tuned');
    await sign(kit, { location: parseLocation(`${name}:tuned`), signer });
    const sbom = await attach(setting, root);
    await sign(kit, { location: parseLocation(`${name}@${sbom.digest}`), signer, format: 'bundle' });
    const imageConfig = await pushBlob(
      target,
      'application/vnd.oci.image.config.v1+json',
      Buffer.from('{"os":"linux","architecture":"amd64"}'),
    );
    await pushManifest(target, { config: imageConfig, subject: root });
    registry.clear();
    const result = await show(setting, 'tuned');
    expect(shape(result.root)).toEqual([
      `root ${name}:tuned`,
      [`base ${name}:1.0.0`, 'dataset data'],
      'dataset set',
      'dataset far: s3://bucket/far',
      'origin https://huggingface.co/org/m',
      'signature',
      `signature ${root.digest.replace(':', '-')}.sig`,
      ['sbom', 'signature'],
      'image',
    ]);
    expect(result.root.children[0]).toMatchObject({ digest: releases['1.0.0'].manifest.digest, description: 'ModelKit' });
    expect(result.root.children[3]).toMatchObject({ description: 'source at revision abc' });
    expect(result.root.children.at(-1)).toMatchObject({ description: 'container image for linux/amd64' });
    const layers = raw.layers as unknown as Descriptor[];
    expect(registry.requests.filter(({ path }) => layers.some(({ digest }) => path.endsWith(digest)))).toEqual([]);
  });

  test('members of an index; what is listed twice is shown once', async () => {
    const setting = await releaseSetting();
    const { target, releases } = setting;
    await target.tag(await pushIndex(target, [releases['1.0.0'].manifest, releases['1.1.0'].manifest, releases['1.0.0'].manifest]), 'all');
    await attach(setting, releases['1.1.0'].manifest);
    const { root } = await show(setting, 'all');
    expect(
      root.children.map(({ relation, description, children }) => [relation, description, children.map((child) => child.relation)]),
    ).toEqual([
      ['member', 'ModelKit', ['dataset']],
      ['member', 'ModelKit', ['dataset', 'sbom']],
      ['member', 'shown above', []],
    ]);
  });

  test('members of an index of variants go by tag and labels', async () => {
    const setting = await releaseSetting();
    const { target, releases } = setting;
    const [tagged, bare] = [releases['1.0.0'].manifest, releases['1.1.0'].manifest];
    const annotations = { 'ml.kitops.modelkit.original-tag': 'q4' };
    const members = [{ ...tagged, annotations, modelMetadata: { vram: 6, quantization: 'q4_0' } } as Descriptor, bare];
    await target.tag(await pushIndex(target, members, MEDIA_TYPE.modelIndex), 'all');
    expect((await show(setting, 'all')).root.children.map(({ name }) => name)).toEqual(['q4 (quantization=q4_0, vram=6)', undefined]);
  });

  test("signatures under cosign's older tag", async () => {
    const setting = await releaseSetting();
    const { target, releases } = setting;
    const { manifest } = releases['1.0.0'];
    await attachLegacy(target, manifest, [{ payload: simplePayload(manifest.digest), annotations: {} }]);
    expect((await show(setting, '1.0.0')).root.children.map(({ relation, description }) => [relation, description])).toEqual([
      ['dataset', 'dataset'],
      ['signature', 'cosign signature'],
    ]);
  });
});

describe('what is wrong with it', () => {
  test('a base that is not there, bases in a loop', async () => {
    const setting = await releaseSetting();
    const { target, registry, name } = setting;
    const based = async (on: string, tag: string): Promise<void> => {
      const { manifest } = await pushRelease(target, tag, { model: { path: `${name}:${on}` }, datasets: undefined });
      const raw = JSON.parse(String(registry.storage.find('team/model')?.manifests.get(manifest.digest)?.bytes)) as object;
      registry.addManifest('team/model', Buffer.from(JSON.stringify({ ...raw, layers: [] })), tag);
    };
    await based('nada', 'orphan');
    await based('b', 'a');
    await based('a', 'b');
    expect((await show(setting, 'orphan')).root.children).toMatchObject([
      { relation: 'base', name: `${name}:nada`, problem: expect.stringContaining('not found in the registry') as string },
    ]);
    expect((await show(setting, 'a')).root.children).toMatchObject([
      { name: `${name}:b`, children: [{ description: 'shown above', children: [] }] },
    ]);
  });

  test('a damaged referrer is named, one that refers to something else is not shown', async () => {
    const setting = await releaseSetting({ behaviour: { referrers: false } });
    const { registry, releases } = setting;
    const { manifest } = releases['1.0.0'];
    const other = await attach(setting, releases['1.1.0'].manifest, { annotations: { other: 'x' } });
    const sound = await attach(setting, manifest);
    const gone = await attach(setting, manifest, { annotations: { gone: 'x' } });
    const list = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [other, sound, gone] };
    registry.addManifest('team/model', Buffer.from(JSON.stringify(list)), manifest.digest.replace(':', '-'), list.mediaType);
    registry.storage.find('team/model')?.manifests.delete(gone.digest);
    const { root } = await show(setting, '1.0.0');
    expect(
      root.children.filter(({ relation }) => relation !== 'dataset').map(({ digest, problem }) => [digest, problem !== undefined]),
    ).toEqual(
      expect.arrayContaining([
        [sound.digest, false],
        [gone.digest, true],
      ]) as unknown,
    );
    expect(root.children).toHaveLength(3);
    registry.storage.find('team/model')?.manifests.delete(manifest.digest);
    await expect(show(setting, '1.0.0')).rejects.toThrow('1.0.0');
  });

  test('a chain of referrers that does not end, and thousands of them', async () => {
    const setting = await releaseSetting();
    let last = setting.releases['1.0.0'].manifest;
    for (let depth = 0; depth < 20; depth++) last = await attach(setting, last);
    const deep = await show(setting, '1.0.0');
    expect(deep.truncated).toBe(true);
    let levels = 0;
    for (let node = deep.root; node.children.length > 0; levels++) node = node.children.at(-1) as LineageNode;
    expect(levels).toBe(16);

    const { registry, releases } = setting;
    const { manifest } = releases['1.1.0'];
    const config = {
      mediaType: 'application/vnd.oci.empty.v1+json',
      digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
      size: 2,
    };
    await registry.addBlob('team/model', Buffer.from('{}'));
    for (let count = 0; count < 1001; count++) {
      const fields = {
        schemaVersion: 2,
        mediaType: manifest.mediaType,
        config,
        layers: [],
        subject: manifest,
        annotations: { n: String(count) },
      };
      registry.addManifest('team/model', Buffer.from(JSON.stringify(fields)));
    }
    const wide = await show(setting, '1.1.0');
    expect(wide.root).toMatchObject({ problem: expect.stringContaining('more than 1000 referrers') as string });
  });
});

const HOSTILE = '</title><script>alert("1")</script>&\u202e\u001b[31m';

const node = (more: Partial<LineageNode>): LineageNode => ({
  relation: 'dataset',
  name: HOSTILE,
  digest: undefined,
  description: HOSTILE,
  size: 5,
  problem: HOSTILE,
  children: [],
  ...more,
});

describe('pictures', () => {
  const root = node({ relation: 'root', children: [node({ children: [node({})] }), node({ relation: 'signature', name: undefined })] });

  test('text of an artifact is one harmless line each', () => {
    const lines = treeLines(root);
    // oxlint-disable-next-line no-control-regex
    expect(lines.join('\n')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(lines.map((line) => /^[│├└─ ]*/.exec(line)?.[0])).toEqual(['', '│  ', '├─ ', '│  │  ', '│  └─ ', '│        ', '└─ ', '      ']);
  });

  test('and in the page it is text: no element, no attribute, no script of it', () => {
    const page = treeHtml({ reference: HOSTILE, digest: `sha256:${'a'.repeat(64)}`, truncated: true, root });
    const tags = new Set([...page.matchAll(/<\/?([a-z!]\w*)/gi)].map(([, tag]) => tag));
    expect(tags).toEqual(
      new Set(['!doctype', 'html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'p', 'svg', 'path', 'g', 'rect', 'text']),
    );
    expect(page).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg")|url\(|@import|\son\w+=/);
    expect(page).toContain("default-src 'none'");
    expect(page.match(/<rect /g)).toHaveLength(4);
    expect(page).toContain('&lt;script&gt;alert(&quot;1&quot;)');
    // oxlint-disable-next-line no-control-regex
    expect(page).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  });
});
