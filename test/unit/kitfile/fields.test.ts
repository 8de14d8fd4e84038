import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { kitfileFields, type LayerInfo } from '../../../src/kitfile/fields.ts';
import { parseKitfile } from '../../../src/kitfile/parse.ts';
import { type Kitfile, kitfileEntries } from '../../../src/kitfile/types.ts';
import { stringifyLikeGo } from '../../../src/oci/json.ts';

const golden = new URL('../../../fixtures/golden/', import.meta.url);

describe('kitfileFields', () => {
  it('gives the config blob of KitOps, byte for byte', () => {
    const { kitfile } = parseKitfile(readFileSync(new URL('input/Kitfile', golden), 'utf8'), 'Kitfile');
    const blob = (digest: string): string => readFileSync(new URL(`kit-modelkit-tar/blobs/sha256/${digest}`, golden), 'utf8');
    const manifest = JSON.parse(blob('3f38b17f734e30a6c3d507cc1e983bffc8c244b7be9ab878eae10ff7fac5da56')) as {
      layers: { digest: string }[];
    };
    const layers = new Map<string, LayerInfo>(
      kitfileEntries(kitfile).map(({ role, index }, at) => {
        const digest = manifest.layers[at]?.digest ?? '';
        return [`${role} ${index}`, { digest, diffId: digest }];
      }),
    );
    const config = stringifyLikeGo(kitfileFields(kitfile, (role, index) => layers.get(`${role} ${index}`)));
    expect(config).toBe(blob('6072d82462929812b85457a617b02174c7e5872195897ec1975d780fc8371e65'));
  });

  it('writes what Go writes for empty values', () => {
    const empty: Kitfile = { manifestVersion: '', package: { name: '', authors: [] }, code: [], docs: [{ path: '', description: '' }] };
    expect(stringifyLikeGo(kitfileFields(empty))).toBe('{"manifestVersion":"","package":{},"docs":[{"path":""}]}');
    expect(
      stringifyLikeGo(kitfileFields({ manifestVersion: '1.0.0', package: {}, model: { parts: [], parameters: null }, code: [{}] })),
    ).toBe('{"manifestVersion":"1.0.0","package":{},"model":{},"code":[{}]}');
  });

  it.each([
    ['{}', {}],
    ['[]', []],
    ['0', 0],
    ['false', false],
    ['""', ''],
  ])('keeps parameters %s', (json, parameters) => {
    const kitfile: Kitfile = { manifestVersion: '1.0.0', package: {}, model: { parameters }, datasets: [{ parameters }] };
    expect(stringifyLikeGo(kitfileFields(kitfile))).toBe(
      `{"manifestVersion":"1.0.0","package":{},"model":{"parameters":${json}},"datasets":[{"parameters":${json}}]}`,
    );
  });

  it('writes every field in order, keys of parameters sorted by bytes, digests last', () => {
    const text = readFileSync(new URL('../../Kitfile.example', golden), 'utf8');
    const { kitfile } = parseKitfile(text, 'Kitfile.example');
    const fields = kitfileFields(kitfile, () => ({ digest: 'sha256:d', diffId: 'sha256:e' }));
    expect(Object.keys(fields)).toStrictEqual(['manifestVersion', 'package', 'model', 'code', 'datasets', 'docs', 'prompts', 'mcpServers']);
    const json = stringifyLikeGo(fields);
    expect(json).toContain(
      '{"name":"corpus","remotePath":"s3://reviews/raw/2026.parquet","remoteHash":"d41d8cd98f00b204e9800998ecf8427e-42","description":"Raw reviews, 2 TB","digest":"sha256:d","diffId":"sha256:e"}',
    );
    expect(json).toContain(
      '"mcpServers":[{"name":"review-search","path":"mcp/review-search.mcpb","description":"Searches the reviews","digest"',
    );
    const digest = `sha256:${'a'.repeat(64)}` as const;
    const elsewhere: Kitfile = {
      manifestVersion: '1.0.0',
      package: {},
      model: { path: 'm', remotePath: 'hf://a/b', remoteRevision: 'c', remoteFiles: [{ path: '', size: 1, digest }] },
    };
    const place = '{"path":"m","remotePath":"hf://a/b"';
    expect(stringifyLikeGo(kitfileFields(elsewhere))).toContain(`${place}}`);
    const record = `"remoteRevision":"c","remoteFiles":[{"path":"","size":1,"digest":"${digest}"}]}`;
    expect(stringifyLikeGo(kitfileFields(elsewhere, () => undefined))).toContain(`${place},${record}`);
    const keys: Kitfile = {
      manifestVersion: '',
      package: {},
      model: { parameters: { 10: 1, 9: 1, '\u{10000}': 1, '\uFFFD': 1, __proto__x: 1 } },
    };
    expect(stringifyLikeGo(kitfileFields(keys))).toContain('{"10":1,"9":1,"__proto__x":1,"\uFFFD":1,"\u{10000}":1}');
  });

  it('leaves a missing diffId out', () => {
    const fields = kitfileFields({ manifestVersion: '', package: {}, code: [{ path: 'a' }] }, () => ({
      digest: 'sha256:d',
      diffId: undefined,
    }));
    expect(fields['code']).toStrictEqual([{ path: 'a', digest: 'sha256:d' }]);
  });
});
