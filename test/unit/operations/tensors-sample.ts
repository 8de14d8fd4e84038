import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeTarHeader } from '../../../src/blobs/tar-header.ts';
import type { Annotations, Descriptor } from '../../../src/oci/descriptor.ts';
import { type Digest, digestHex } from '../../../src/oci/digest.ts';
import type { TestRegistry } from '../../support/registry.ts';

/** Bytes of a blob that are not zero. */
export interface Part {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Puts a blob that is mostly holes into a registry that keeps files in `directory`. Its digest is not that of its content. */
export async function addSparse(
  registry: TestRegistry,
  directory: string,
  repository: string,
  size: number,
  parts: readonly Part[],
): Promise<Digest> {
  const hash = createHash('sha256').update(`${size}`);
  for (const { at, bytes } of parts) hash.update(`,${at}:${bytes.byteLength}:`).update(bytes);
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  await registry.storage.replaceBlob(digest, Buffer.alloc(0));
  registry.storage.repository(repository).blobs.add(digest);
  const file = await open(join(directory, digestHex(digest)), 'r+');
  try {
    await file.truncate(size);
    for (const { at, bytes } of parts) await file.write(bytes, 0, bytes.byteLength, at);
  } finally {
    await file.close();
  }
  return digest;
}

/** A file of an archive: what it begins with, and its size. */
export interface SparseFile {
  readonly path: string;
  readonly start: Uint8Array;
  readonly size: number;
}

/** The tar archive of the files: its size, and what in it is not zero. */
export function sparseTar(files: readonly SparseFile[]): { size: number; parts: Part[] } {
  const parts: Part[] = [];
  let at = 0;
  for (const { path, start, size } of files) {
    const header = encodeTarHeader({ path, type: 'file', mode: 0o644, size });
    parts.push({ at, bytes: header }, { at: at + header.byteLength, bytes: start });
    at += header.byteLength + Math.ceil(size / 512) * 512;
  }
  return { size: at + 1024, parts };
}

/** An artifact of raw files, each named by its title. */
export async function addFiles(
  registry: TestRegistry,
  repository: string,
  tag: string,
  files: readonly { readonly path: string; readonly digest: Digest; readonly size: number }[],
): Promise<Descriptor> {
  const layers = files.map(({ path, digest, size }) =>
    layer('application/octet-stream', { digest, size }, { 'org.opencontainers.image.title': path }),
  );
  return await addManifest(registry, repository, tag, { mediaType: 'application/vnd.oci.empty.v1+json', config: {} }, layers);
}

export function layer(
  mediaType: string,
  { digest, size }: { readonly digest: Digest; readonly size: number },
  annotations: Annotations = {},
): Descriptor {
  return { mediaType, digest, size, annotations };
}

export async function addManifest(
  registry: TestRegistry,
  repository: string,
  tag: string,
  { mediaType, config }: { readonly mediaType: string; readonly config: unknown },
  layers: readonly Descriptor[],
): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(config));
  const digest = await registry.addBlob(repository, bytes);
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType, digest, size: bytes.byteLength },
    layers,
  };
  return registry.addManifest(repository, Buffer.from(JSON.stringify(manifest)), tag);
}

/** Tensors of a llama, as many as wanted, that fill `data` bytes with BF16; a safetensors header for them. */
export function llamaHeader(prefix: string, count: number, data: number): Buffer {
  const each = Math.floor(data / count / 2) * 2;
  const entries = Array.from({ length: count }, (_, at) => {
    const end = at === count - 1 ? data : (at + 1) * each;
    return [
      `${prefix}.layers.${at}.mlp.down_proj.weight`,
      { dtype: 'BF16', shape: [(end - at * each) / 2], data_offsets: [at * each, end] },
    ];
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  return Buffer.concat([length, json]);
}
