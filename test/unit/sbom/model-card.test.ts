import { expect, test } from 'vitest';
import { readFrontMatter } from '../../../src/kitfile/front-matter.ts';
import { readModelCard } from '../../../src/sbom/model-card.ts';

const CARD = `---
license: other
license_name: my-license
language: [en, de]
pipeline_tag: text-generation
datasets: squad
base_model:
- org/one
- org/two
model-index:
- name: m
  results:
  - dataset: {name: MMLU, type: mmlu}
    metrics:
    - {type: acc, value: 0.71}
    - {type: f1}
    - nonsense
---
# A model
`;

test('what a card says', () => {
  expect(readModelCard(readFrontMatter(CARD, 'README.md') ?? {})).toEqual({
    license: 'my-license',
    task: 'text-generation',
    library: undefined,
    languages: ['en', 'de'],
    tags: [],
    datasets: ['squad'],
    baseModels: ['org/one', 'org/two'],
    metrics: [{ type: 'acc', value: '0.71', dataset: 'MMLU' }],
  });
  expect(readFrontMatter(CARD.replaceAll('\n', '\r\n'), 'README.md')).toMatchObject({ license: 'other' });
});

test.each([
  ['no front matter', '# A model\n---\nlicense: mit\n---\n'],
  ['no end', '---\nlicense: mit\n'],
  ['no YAML', '---\n{\n---\n'],
  ['a list', '---\n- mit\n---\n'],
  ['nothing', '---\n\n---\n'],
])('%s is no card', (_, text) => {
  expect(readFrontMatter(text, 'README.md')).toBeUndefined();
});

test('fields of the wrong types are left out', () => {
  const wrong = { license: 3, tags: { a: 1 }, datasets: [1, '', 'a', 'a'], 'model-index': 'x', language: null };
  expect(readModelCard(wrong)).toMatchObject({ license: undefined, tags: [], datasets: ['a'], metrics: [], languages: [] });
});
