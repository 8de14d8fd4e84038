import { describe, expect, test } from 'vitest';
import { stringifyExact } from '../../../src/oci/json.ts';
import { cyclonedx } from '../../../src/sbom/cyclonedx.ts';
import { spdx } from '../../../src/sbom/spdx.ts';
import { digestHex, digestOf } from '../../../src/oci/digest.ts';
import type { SbomSubject } from '../../../src/sbom/subject.ts';
import { bareSubject, fullSubject } from './sample-subject.ts';
import { cyclonedxSchema, spdxSchema } from './schemas.ts';

function hostileSubject(): SbomSubject {
  const text = '\ud800 <b>\n\u0000';
  const kitfile = { manifestVersion: '1.0.0', package: {}, datasets: [{ name: text, remotePath: text, license: text }] };
  return { ...fullSubject(), name: text, license: text, authors: [text], kitfile };
}

/** As a reader has it. */
function written(document: unknown): unknown {
  return JSON.parse(stringifyExact(document));
}

describe.each([
  ['CycloneDX', cyclonedx, cyclonedxSchema()],
  ['SPDX', spdx, spdxSchema()],
])('%s', (_, build, schema) => {
  test.each([
    ['everything known', fullSubject()],
    ['nothing known', bareSubject()],
    ['no files', { ...bareSubject(), files: [] }],
    ['text that is no Unicode', hostileSubject()],
  ])('valid by the official schema: %s', (_name, subject) => {
    const isValid = schema(written(build(subject)));
    expect(schema.errors ?? []).toEqual([]);
    expect(isValid).toBe(true);
  });

  test('the schema does refuse', () => {
    const text = stringifyExact(build(fullSubject()))
      .replace('"type":"data"', '"type":"nonsense"')
      .replace('"software_File"', '"nonsense"');
    expect(schema(JSON.parse(text))).toBe(false);
  });

  test('the same document each time, another for another manifest', () => {
    expect(stringifyExact(build(fullSubject()))).toBe(stringifyExact(build(fullSubject())));
    const other = { ...fullSubject(), digest: digestOf(Buffer.from('other')) };
    const idsIn = (subject: SbomSubject): unknown => /urn:uuid:[0-9a-f-]{36}/.exec(stringifyExact(build(subject)))?.[0];
    expect(idsIn(other)).not.toBe(idsIn(fullSubject()));
    expect(idsIn(fullSubject())).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

const HASH = digestHex(digestOf(Buffer.from('model.gguf')));

test('CycloneDX says what is known of the model', () => {
  expect(written(cyclonedx(fullSubject()))).toMatchObject({
    specVersion: '1.6',
    metadata: {
      timestamp: '2026-11-20T10:00:00Z',
      component: {
        type: 'machine-learning-model',
        licenses: [{ license: { id: 'Apache-2.0' } }],
        pedigree: { ancestors: [{ name: 'ghcr.io/team/base:v1' }, { name: 'org/base' }] },
        modelCard: {
          modelParameters: {
            task: 'text-generation',
            architectureFamily: 'llama.cpp',
            modelArchitecture: 'llama',
            datasets: [1, 2, 3, 4, 5].map((index) => ({ ref: `dataset:${index}` })),
            inputs: [{ format: 'text' }],
          },
          quantitativeAnalysis: {
            performanceMetrics: [
              { type: 'acc', value: '0.71', slice: 'MMLU' },
              { type: 'f1', value: '3' },
            ],
          },
        },
        properties: expect.arrayContaining([
          { name: 'ocikit:parameters', value: '8030261248' },
          { name: 'ocikit:language', value: 'de' },
        ]) as unknown,
      },
    },
    components: [
      { name: 'train', licenses: [{ license: { id: 'CC-BY-4.0' } }], components: [{ name: 'data/a.csv' }] },
      { name: 'eval-set', components: [{ name: 'eval.csv' }] },
      { name: 'far', data: [{ contents: { url: 's3://bucket/a%20b' } }] },
      { name: 'squad', externalReferences: [{ url: 'https://huggingface.co/datasets/squad' }] },
      { name: 'no such name!' },
      { name: 'lora.bin', licenses: [{ license: { name: 'llama3.1' } }] },
      { name: 'model.gguf', hashes: [{ alg: 'SHA-256', content: HASH }] },
      { name: 'src/run.py', licenses: [{ expression: 'MIT OR Apache-2.0' }] },
    ],
  });
});

interface Element {
  readonly type: string;
  readonly spdxId?: string;
  readonly name?: string;
  readonly from?: string;
  readonly to?: string[];
  readonly relationshipType?: string;
}

function graph(subject: SbomSubject): Element[] {
  return (written(spdx(subject)) as { '@graph': Element[] })['@graph'];
}

function related(elements: readonly Element[], from: string, type: string): (string | undefined)[] {
  const name = (id: string): string | undefined => elements.find(({ spdxId }) => spdxId === id)?.name;
  return elements
    .filter((element) => element.relationshipType === type && name(element.from ?? '') === from)
    .flatMap(({ to = [] }) => to.map(name));
}

test('SPDX says what belongs to what', () => {
  const elements = graph(fullSubject());
  expect(related(elements, 'llama', 'contains')).toEqual(['lora.bin', 'model.gguf', 'src/run.py', 'far']);
  expect(related(elements, 'llama', 'trainedOn')).toEqual(['train', 'squad', 'no such name!']);
  expect(related(elements, 'llama', 'testedOn')).toEqual(['eval-set']);
  expect(related(elements, 'llama', 'descendantOf')).toEqual(['ghcr.io/team/base:v1', 'org/base']);
  expect(related(elements, 'train', 'contains')).toEqual(['data/a.csv']);
});

test.each([
  ['everything known', fullSubject()],
  ['nothing known', bareSubject()],
])('SPDX: what the AI and dataset profiles ask for, %s', (_, subject) => {
  const elements = graph(subject);
  const packages = elements.filter(({ type }) => type === 'ai_AIPackage' || type === 'dataset_DatasetPackage');
  expect(packages.length).toBeGreaterThan(0);
  for (const { spdxId, type, ...fields } of packages) {
    for (const license of ['hasDeclaredLicense', 'hasConcludedLicense'])
      expect(elements.filter(({ from, relationshipType }) => from === spdxId && relationshipType === license)).toHaveLength(1);
    const wanted = ['releaseTime', 'software_downloadLocation', 'software_primaryPurpose', 'originatedBy'];
    expect(Object.keys(fields)).toEqual(expect.arrayContaining(wanted));
    const own = type === 'ai_AIPackage' ? ['suppliedBy', 'software_packageVersion'] : ['builtTime', 'dataset_datasetType'];
    expect(Object.keys(fields)).toEqual(expect.arrayContaining(own));
  }
});

test('SPDX: every element is listed once and every id that is named exists', () => {
  const elements = graph(fullSubject());
  const ids = elements.flatMap(({ spdxId }) => spdxId ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  const named = elements.flatMap(({ from, to = [] }) => [...(from === undefined ? [] : [from]), ...to]);
  expect(named.filter((id) => !ids.includes(id) && !id.startsWith('https://spdx.org/'))).toEqual([]);
});
