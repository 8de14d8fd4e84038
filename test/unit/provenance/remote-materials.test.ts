import { expect, test } from 'vitest';
import { remoteMaterials } from '../../../src/operations/pack/provenance.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';

const hex = (digit: string): string => digit.repeat(64);
const kitfile = (dataset: object): Kitfile => ({ manifestVersion: '1.0.0', package: {}, datasets: [{ name: 'd', ...dataset }] });

test('content that stays elsewhere: by the digests of its files', () => {
  const remoteFiles = [
    { path: 'a', size: 1, digest: `sha256:${hex('a')}` },
    { path: 'b/c', size: 2, digest: `sha256:${hex('b')}` },
  ];
  expect(remoteMaterials(kitfile({ path: 'd', remotePath: 's3://bucket/d/', remoteFiles, remoteRevision: 'r1' }))).toEqual([
    { name: 'dataset d: a', uri: 's3://bucket/d/', digest: { sha256: hex('a') }, annotations: { remoteRevision: 'r1' } },
    { name: 'dataset d: b/c', uri: 's3://bucket/d/', digest: { sha256: hex('b') }, annotations: { remoteRevision: 'r1' } },
  ]);
});

test('by the hash of the Kitfile where nothing was recorded', () => {
  const remoteHash = `sha256:${hex('c')}`;
  expect(remoteMaterials(kitfile({ remotePath: 'https://user:pass@host/d?token=secret', remoteHash }))).toEqual([
    { name: 'dataset d', uri: 'https://host/d?token=...', digest: { sha256: hex('c') }, annotations: { remoteHash } },
  ]);
  // an ETag is no digest
  expect(remoteMaterials(kitfile({ remotePath: 's3://bucket/d', remoteHash: 'etag-1' }))).toEqual([
    { name: 'dataset d', uri: 's3://bucket/d', annotations: { remoteHash: 'etag-1' } },
  ]);
});
