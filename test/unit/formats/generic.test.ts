import { describe, expect, test } from 'vitest';
import { generic } from '../../../src/formats/generic.ts';
import { formatOf } from '../../../src/formats/registry.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import type { Manifest } from '../../../src/oci/manifest.ts';
import { loadManifest, readBlob } from '../../support/golden-layout.ts';

function read(layout: string) {
  const manifest = loadManifest(layout);
  expect(formatOf(manifest)).toBe(generic);
  return generic.read(manifest, readBlob(layout, manifest.config), 'the-name');
}

test('oras and Argo: an image layer is an archive, whatever its title', () => {
  expect(read('oras-argo-correct').layers).toMatchObject([{ path: 'manifests.tar.gz', encoding: 'tar', compression: 'gzip', target: '' }]);
});

test('a plain image is its archives', () => {
  expect(read('modelcar').layers.map(({ encoding, compression, target }) => [encoding, compression, target])).toEqual(
    Array.from({ length: 3 }, () => ['tar', 'gzip', '']),
  );
});

test('files are named by their titles', () => {
  expect(readLayer('application/x', { 'org.opencontainers.image.title': 'a/b.txt' })).toMatchObject([
    { role: 'file', path: 'a/b.txt', encoding: 'raw', target: 'a/b.txt' },
  ]);
});

function readLayer(mediaType: string, annotations = {}, config = mediaType) {
  const layer = { mediaType, digest: digestOf(Buffer.from('a')), size: 1, annotations };
  const manifest: Manifest = { schemaVersion: 2, config: { ...layer, mediaType: config }, layers: [layer] };
  return generic.read(manifest, Buffer.from('{}'), 'the-name').layers;
}

const title = (name: string) => ({ 'org.opencontainers.image.title': name });

describe('a layer by its media type', () => {
  test.each([
    ['application/vnd.oci.image.layer.v1.tar', 'none'],
    ['application/vnd.oci.image.layer.v1.tar+zstd', 'zstd'],
    ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'],
  ])('%s', (mediaType, compression) => {
    expect(readLayer(mediaType)).toMatchObject([{ encoding: 'tar', compression, target: '' }]);
  });

  test('a directory of oras', () => {
    const annotations = { 'io.deis.oras.content.unpack': 'true', 'org.opencontainers.image.title': 'dir' };
    expect(readLayer('application/x', annotations)).toMatchObject([{ path: 'dir', encoding: 'tar', compression: 'gzip', target: '' }]);
  });

  test('an archive without a name, as of Flux and Helm, is its files; with one it is a file', () => {
    for (const [type, compression] of [
      ['application/vnd.cncf.flux.content.v1.tar+gzip', 'gzip'],
      ['application/vnd.cncf.helm.chart.content.v1.tar+gzip', 'gzip'],
      ['application/vnd.example.v1.tar+zstd', 'zstd'],
      ['application/vnd.example.v1.tar', 'none'],
    ])
      expect(readLayer(type ?? '')).toMatchObject([{ encoding: 'tar', compression, target: '' }]);
    expect(readLayer('application/vnd.cncf.flux.content.v1.tar+gzip', { 'org.opencontainers.image.title': 'a.tgz' })).toMatchObject([
      { encoding: 'raw', target: 'a.tgz' },
    ]);
    for (const type of ['application/x-tar', 'application/vnd.example.v1.tar+xz', 'application/vnd.tar.v1'])
      expect(readLayer(type)).toEqual([]);
  });

  test('what has no name is no file', () => {
    expect(readLayer('application/x')).toEqual([]);
  });

  test('a file that oras was told no type of: what its title says, unless that is an archive or the artifact an image', () => {
    const tar = 'application/vnd.oci.image.layer.v1.tar';

    expect(readLayer(tar, title('a.json'), 'application/vnd.oci.empty.v1+json')).toMatchObject([{ encoding: 'raw', target: 'a.json' }]);
    for (const name of ['a.tar', 'a.tar.gz', 'a.TGZ'])
      expect(readLayer(tar, title(name), 'application/x')).toMatchObject([{ encoding: 'tar' }]);
    expect(readLayer(tar, title('a.json'), 'application/vnd.oci.image.config.v1+json')).toMatchObject([{ encoding: 'tar' }]);
    expect(readLayer(tar, {}, 'application/x')).toMatchObject([{ encoding: 'tar' }]);
  });
});
