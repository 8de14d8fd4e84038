import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { KitError } from '../errors.ts';
import type { Bytes } from '../blob-source.ts';
import { type Codec, CodecFeed } from './transform.ts';

export const COMPRESSIONS = ['none', 'gzip', 'gzip-fastest', 'zstd'] as const;
/** How a layer is compressed; `gzip-fastest` reads as gzip. */
export type Compression = (typeof COMPRESSIONS)[number];

const CHUNK = 256 * 1024;

/** The compressed form of `bytes`: a function of the bytes and the Node release alone, however they are cut into chunks. */
export async function* compress(bytes: Bytes, compression: Compression): AsyncGenerator<Uint8Array> {
  if (compression === 'none') {
    yield* bytes;
    return;
  }
  const feed = new CodecFeed(bytes);
  let first = compression !== 'zstd';
  try {
    for await (const chunk of feed.run(compressor(compression))) {
      // byte 9 of a gzip header names the operating system: 255 is unknown, as Go writes it
      if (first && chunk.byteLength > 9) chunk[9] = 0xff;
      first = false;
      yield chunk;
    }
  } finally {
    await feed.close();
  }
}

function compressor(compression: Exclude<Compression, 'none'>): Codec {
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
 * The content of a compressed layer, of all its gzip members or zstd frames; `name` goes into messages.
 * Where the bytes are broken the source is read to its end first: what it finds (a wrong digest) is the better answer.
 * @throws KitError LAYER_INVALID when the bytes are not what `compression` says, or end early
 */
export function decompress(bytes: Bytes, compression: Compression, name: string): Bytes {
  return compression === 'none' ? bytes : decoded(bytes, compression, name);
}

async function* decoded(bytes: Bytes, compression: Exclude<Compression, 'none'>, name: string): AsyncGenerator<Uint8Array> {
  const feed = new CodecFeed(bytes);
  try {
    if (compression === 'zstd') yield* unzstd(feed);
    else yield* gunzip(feed);
  } catch (error) {
    const failure = invalid(error, compression === 'zstd' ? 'zstd' : 'gzip', name);
    if (failure !== undefined) while ((await feed.next()) !== undefined);
    throw failure ?? error;
  } finally {
    await feed.close();
  }
}

// node:zlib reads all members by itself, and stops at zero bytes, which tapes put after them
async function* gunzip(feed: CodecFeed): AsyncGenerator<Uint8Array> {
  yield* feed.run(createGunzip({ chunkSize: CHUNK }));
  for (let rest = await feed.next(); rest !== undefined; rest = await feed.next()) {
    if (rest.some((byte) => byte !== 0)) throw new TrailingDataError();
  }
}

// node:zlib drops what follows a frame in one chunk
async function* unzstd(feed: CodecFeed): AsyncGenerator<Uint8Array> {
  do yield* feed.run(createZstdDecompress({ chunkSize: CHUNK }));
  while (feed.hasRest);
}

class TrailingDataError extends Error {}

function invalid(error: unknown, format: string, name: string): KitError | undefined {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why =
    error instanceof TrailingDataError
      ? `has data after the end of its ${format} stream`
      : code === 'Z_BUF_ERROR'
        ? 'ends before its check sum'
        : /^Z(STD)?_/.test(code)
          ? `is not valid ${format} (${(error as Error).message})`
          : undefined;
  if (why === undefined) return undefined;
  return new KitError('LAYER_INVALID', `${name}: the layer ${why}`, {
    cause: error,
    hint: 'the artifact is damaged or mislabelled; ask for it to be pushed again',
  });
}
