import { pipeline, Readable, type Transform } from 'node:stream';
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { KitError } from '../errors.ts';
import type { Bytes } from './source.ts';

export const COMPRESSIONS = ['none', 'gzip', 'gzip-fastest', 'zstd'] as const;
/** How a layer is compressed; `gzip-fastest` reads as gzip. */
export type Compression = (typeof COMPRESSIONS)[number];

const CHUNK = 256 * 1024;

/** The compressed form of `bytes`: the same input gives the same output on every system. */
export async function* compress(bytes: Bytes, compression: Compression): AsyncGenerator<Uint8Array> {
  if (compression === 'none') {
    yield* bytes;
    return;
  }
  let first = compression !== 'zstd';
  for await (const chunk of through(bytes, compressor(compression))) {
    // byte 9 of a gzip header names the operating system: 255 is unknown, as Go writes it
    if (first && chunk.byteLength > 9) chunk[9] = 0xff;
    first = false;
    yield chunk;
  }
}

function compressor(compression: Exclude<Compression, 'none'>): Transform {
  switch (compression) {
    case 'gzip':
      return createGzip({ chunkSize: CHUNK });
    case 'gzip-fastest':
      return createGzip({ level: constants.Z_BEST_SPEED, chunkSize: CHUNK });
    case 'zstd':
      return createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 }, chunkSize: CHUNK });
  }
}

/**
 * The content of a compressed layer; `name` goes into messages.
 * @throws KitError LAYER_INVALID when the bytes are not what `compression` says, or end early
 */
export async function* decompress(bytes: Bytes, compression: Compression, name: string): AsyncGenerator<Uint8Array> {
  if (compression === 'none') {
    yield* bytes;
    return;
  }
  const options = { chunkSize: CHUNK };
  try {
    yield* through(bytes, compression === 'zstd' ? createZstdDecompress(options) : createGunzip(options));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!code.startsWith('Z_') && !code.startsWith('ZSTD_')) throw error;
    const format = compression === 'zstd' ? 'zstd' : 'gzip';
    const why = code === 'Z_BUF_ERROR' ? 'ends before its check sum' : `is not valid ${format} (${(error as Error).message})`;
    throw new KitError('LAYER_INVALID', `${name}: the layer ${why}`, {
      cause: error,
      hint: 'the artifact is damaged or mislabelled; ask for it to be pushed again',
    });
  }
}

async function* through(bytes: Bytes, transform: Transform): AsyncGenerator<Uint8Array> {
  const source = Readable.from(bytes, { objectMode: false, highWaterMark: CHUNK });
  let failure: unknown;
  pipeline(source, transform, (error) => (failure = error));
  try {
    for await (const chunk of transform) yield chunk as Uint8Array;
  } catch (error) {
    // the first failure is the cause: an error of the source destroys the transform with it
    throw failure ?? error;
  } finally {
    source.destroy();
    transform.destroy();
  }
}
