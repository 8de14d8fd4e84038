import { expect, test } from 'vitest';
import { isHubUrl, parseHubReference } from '../../../src/hub/hub-reference.ts';
import { remoteName } from '../../../src/hub/remote-name.ts';
import { spdxOfHub } from '../../../src/kitfile/spdx-of-hub.ts';

const HUB = 'https://hub.example.com';

test.each([
  ['org/name', 'model', 'org/name', undefined, undefined],
  ['gpt2', 'model', 'gpt2', undefined, undefined],
  ['org/name@v1', 'model', 'org/name', 'v1', undefined],
  ['hf://org/name', 'model', 'org/name', undefined, undefined],
  ['hf://datasets/org/name@refs%2Fpr%2F1/data/a.csv', 'dataset', 'org/name', 'refs/pr/1', 'data/a.csv'],
  ['hf://org/name/sub/dir', 'model', 'org/name', undefined, 'sub/dir'],
  ['datasets/org/name', 'dataset', 'org/name', undefined, undefined],
  ['https://huggingface.co/org/name', 'model', 'org/name', undefined, undefined],
  ['https://huggingface.co/org/name/', 'model', 'org/name', undefined, undefined],
  ['https://hf.co/datasets/org/name/tree/v1.0/data', 'dataset', 'org/name', 'v1.0', 'data'],
  ['https://huggingface.co/org/name/blob/main/sub/a%20b.json?x=y', 'model', 'org/name', 'main', 'sub/a b.json'],
  ['https://huggingface.co/gpt2/resolve/main/model.safetensors', 'model', 'gpt2', 'main', 'model.safetensors'],
  [`${HUB}/org/name`, 'model', 'org/name', undefined, undefined],
])('%s', (text, type, id, revision, path) => {
  expect(parseHubReference(text, HUB)).toEqual({ type, id, revision, path });
});

test.each(['', 'https://huggingface.co/', 'https://huggingface.co/spaces/a/b', 'https://evil.example/a/b', '../..', 'a/..', 'a/b--c'])(
  '`%s` is refused',
  (text) => {
    expect(() => parseHubReference(text, HUB)).toThrow(/does not name|is a space|is not on/);
  },
);

test('which URLs are on the hub', () => {
  expect(['https://huggingface.co/a/b', 'hf://a/b', `${HUB}/a`].map((url) => isHubUrl(url, HUB))).toEqual([true, true, true]);
  expect(['https://huggingface.co.evil.example/a/b', 'https://github.com/a/b', 'org/name'].map((url) => isHubUrl(url, HUB))).toEqual([
    false,
    false,
    false,
  ]);
});

test.each([
  ['https://user:secret@github.com/team/model.git', 'team/model', 'https://github.com/team/model.git'],
  ['git@github.com:team/model.git', 'team/model', 'ssh://github.com/team/model.git'],
  ['https://gitlab.com/group/sub/model', 'sub/model', 'https://gitlab.com/group/sub/model'],
  ['file:///home/me/model', 'model', undefined],
  ['/home/me/model/', 'model', undefined],
])('the name of the git repository %s', (url, name, uri) => {
  expect(remoteName(url)).toEqual({ name, uri });
});

test.each([
  ['apache-2.0', 'Apache-2.0'],
  ['mit', 'MIT'],
  ['cc-by-nc-sa-4.0', 'CC-BY-NC-SA-4.0'],
  ['odc-by', 'ODC-By-1.0'],
  ['llama3.1', 'llama3.1'],
])('the license %s of a card is %s', (license, spdx) => {
  expect(spdxOfHub(license)).toBe(spdx);
});
