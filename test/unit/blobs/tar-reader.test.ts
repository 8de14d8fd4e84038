import { describe, expect, test } from 'vitest';
import { TarReader } from '../../../src/blobs/tar-reader.ts';
import { archive, entry, pax } from './archive.ts';
import { Chunks, collect } from './workspace.ts';

interface Read {
  readonly path: string;
  readonly type: string;
  readonly content: string;
}

async function readAll(bytes: Uint8Array, size = 100_000): Promise<Read[]> {
  const reader = new TarReader(new Chunks(bytes, size), 'sha256:x');
  const entries: Read[] = [];
  for (let item = await reader.next(); item !== undefined; item = await reader.next()) {
    entries.push({ path: item.path, type: item.type, content: (await collect(reader.content())).toString() });
  }
  return entries;
}

const invalid = expect.objectContaining({ code: 'LAYER_INVALID', message: expect.stringContaining('sha256:x') as unknown }) as unknown;
const LONG = `${'d/'.repeat(120)}file`;

describe('reads', () => {
  test.each([1, 7, 511, 512, 513, 100_000])('files and directories in chunks of %d bytes', async (size) => {
    const bytes = archive(
      { name: 'd', type: '5', mode: 0o755 },
      { name: 'd/a', content: 'x'.repeat(512) },
      { name: 'd/b', content: 'y'.repeat(513) },
      { name: 'd/c' },
    );
    expect((await readAll(bytes, size)).map(({ path, type, content }) => [path, type, content.length])).toEqual([
      ['d', 'directory', 0],
      ['d/a', 'file', 512],
      ['d/b', 'file', 513],
      ['d/c', 'file', 0],
    ]);
  });

  test('content that nobody asks for is skipped', async () => {
    const reader = new TarReader(new Chunks(archive({ name: 'a', content: 'a'.repeat(2000) }, { name: 'b', content: 'b' }), 100), 'x');
    await reader.next();
    for await (const chunk of reader.content()) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(await reader.next()).toMatchObject({ path: 'b' });
    expect((await reader.contentAtOnce()).toString()).toBe('b');
    expect(await reader.next()).toBeUndefined();
    expect(await reader.next().catch(() => undefined)).toBeUndefined();
  });

  test('a ustar prefix, but not where GNU tar keeps times', async () => {
    const [ustar] = await readAll(archive({ name: 'name', prefix: 'dir/sub' }));
    expect(ustar?.path).toBe('dir/sub/name');
    const [gnu] = await readAll(archive({ name: 'name', prefix: '13333333333', magic: 'ustar  \0' }));
    expect(gnu?.path).toBe('name');
  });

  test('names and sizes of pax headers, and long names of GNU tar', async () => {
    const content = 'content';
    const read = await readAll(
      archive(
        pax([['comment', 'nothing to us']], 'g'),
        pax([
          ['path', LONG],
          ['mtime', '1.5'],
          ['size', '7'],
        ]),
        Buffer.concat([entry({ name: 'short', size: '00000000000\0' }), Buffer.from(content.padEnd(512, '\0'))]),
        { name: '././@LongLink', type: 'L', content: `${LONG}\0` },
        { name: 'short', content },
        { name: 'after', content },
      ),
    );
    expect(read.map(({ path, content: text }) => [path, text])).toEqual([
      [LONG, content],
      [LONG, content],
      ['after', content],
    ]);
  });

  test('sizes in base 256, in octal with spaces, and directories of before ustar', async () => {
    const base256 = Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    const read = await readAll(
      archive(
        { name: 'a', content: 'abc', size: base256 },
        { name: 'b', content: 'abc', size: '         3 \0' },
        { name: 'dir/', type: '\0', magic: '' },
        { name: 'c', type: '\0', magic: '' },
        { name: 'contiguous', type: '7' },
      ),
    );
    expect(read.map(({ path, type }) => `${type} ${path}`)).toEqual(['file a', 'file b', 'directory dir/', 'file c', 'file contiguous']);
  });

  test('padding of any length after the end', async () => {
    expect(await readAll(Buffer.concat([archive({ name: 'a' }), Buffer.alloc(9 * 1024 + 1)]))).toHaveLength(1);
  });

  test('types that are never extracted, by name', async () => {
    const types = ['1', '2', '3', '4', '6', 'S', 'V', 'K', 'D', 'Z'];
    const read = await readAll(archive(...types.map((type) => ({ name: 'x', type }))));
    const unknown = 'entry of unknown type';
    expect(read.map(({ type }) => type)).toEqual([
      'hard link',
      'symbolic link',
      'character device',
      'block device',
      'named pipe',
      ...Array.from({ length: 5 }, () => unknown),
    ]);
  });
});

const CASES: Readonly<Record<string, Uint8Array>> = {
  'nothing at all': Buffer.alloc(0),
  'one zero block only': Buffer.alloc(512),
  'a cut zero block': Buffer.alloc(1000),
  'less than a block': Buffer.from('x'),
  'no end': entry({ name: 'a' }),
  'one closing block': Buffer.concat([entry({ name: 'a' }), Buffer.alloc(512)]),
  'cut in the content': archive({ name: 'a', content: 'x'.repeat(2000) }).subarray(0, 1000),
  'cut in the padding': entry({ name: 'a', content: 'x' }).subarray(0, 600),
  'cut in a header': archive({ name: 'a' }, { name: 'b' }).subarray(0, 700),
  'data after the end': Buffer.concat([archive({ name: 'a' }), Buffer.from('x')]),
  'another archive after the end': Buffer.concat([archive({ name: 'a' }), archive({ name: 'b' })]),
  'an entry after one zero block': Buffer.concat([entry({ name: 'a' }), Buffer.alloc(512), archive({ name: 'b' })]),
  'a wrong check sum': archive({ name: 'a' }, { name: 'b', checksum: '0000000\0' }),
  'a check sum that is no number': archive({ name: 'a', checksum: 'hello!\0 ' }),
  text: Buffer.from('This is no archive. '.repeat(100)),
  'a size that is no number': archive({ name: 'a', size: '0000000000x\0' }),
  'a size that readers read differently': archive({ name: 'a', size: '\u00000000000644' }),
  'a negative size': archive({ name: 'a', size: '-0000000001\0' }),
  'a negative size in base 256': archive({ name: 'a', size: Buffer.alloc(12, 0xff) }),
  'a size beyond all files': archive({ name: 'a', size: Buffer.from([0x80, 0x7f, ...Buffer.alloc(10, 0xff)]) }),
  'a size of 8 GiB that is not there': archive({ name: 'a', size: '77777777777\0' }),
  'a directory with content': archive({ name: 'd', type: '5', content: 'x' }),
  'a directory with a pax size': archive(pax([['size', '512']]), { name: 'd', type: '5' }),
  'a name that is no UTF-8': archive({ name: Buffer.from([0x61, 0xff]) }),
  'a pax name that is no UTF-8': archive({ name: 'x', type: 'x', content: Buffer.from('10 path=\xff\n', 'latin1') }, { name: 'a' }),
  'two pax headers': archive(pax([['path', 'a']]), pax([['path', 'b']]), { name: 'c' }),
  'a pax header and a long name': archive(pax([['path', 'a']]), { name: 'L', type: 'L', content: 'b\0' }, { name: 'c' }),
  'the pax path twice': archive(
    pax([
      ['path', 'a'],
      ['path', 'b'],
    ]),
    { name: 'c' },
  ),
  'a pax size larger than the content': archive(pax([['size', '5000']]), { name: 'a', content: 'abc' }),
  'a pax size that is no number': archive(pax([['size', '1e3']]), { name: 'a' }),
  'a negative pax size': archive(pax([['size', '-1']]), { name: 'a' }),
  'an empty pax size': archive(pax([['size', '']]), { name: 'a' }),
  'a huge pax size': archive(pax([['size', '99999999999999999999']]), { name: 'a' }),
  'a pax record without length': archive({ name: 'x', type: 'x', content: 'path=a\n' }, { name: 'a' }),
  'a pax record that claims too much': archive({ name: 'x', type: 'x', content: '99 path=a\n' }, { name: 'a' }),
  'a pax record that ends early': archive({ name: 'x', type: 'x', content: '9 path=ab\n' }, { name: 'a' }),
  'a pax length of zero': archive({ name: 'x', type: 'x', content: '0 path=a\n' }, { name: 'a' }),
  'a pax length in hex': archive({ name: 'x', type: 'x', content: '0xa path=a\n' }, { name: 'a' }),
  'a pax header of 2 MiB': archive({ name: 'x', type: 'x', content: Buffer.alloc(2 * 1024 * 1024, 'x') }, { name: 'a' }),
  'a pax header that claims 4 GiB': archive({ name: 'x', type: 'x', size: '40000000000\0' }, { name: 'a' }),
  'a pax header and then the end': archive(pax([['path', 'a']])),
  'a cut pax header': archive(pax([['path', 'a']])).subarray(0, 520),
};

describe('refuses', () => {
  test.each(Object.entries(CASES))('%s', async (_name, bytes) => {
    for (const size of [100_000, 333]) await expect(readAll(bytes, size)).rejects.toEqual(invalid);
  });

  test('pax records that change the meaning of all entries, and sparse files', async () => {
    const unsafe = { code: 'UNSAFE_ENTRY' };
    await expect(readAll(archive(pax([['path', 'a']], 'g'), { name: 'b' }))).rejects.toMatchObject(unsafe);
    await expect(readAll(archive(pax([['size', '1']], 'g'), { name: 'b' }))).rejects.toMatchObject(unsafe);
    await expect(readAll(archive(pax([['GNU.sparse.major', '1']]), { name: 'b' }))).rejects.toMatchObject(unsafe);
  });

  test('compressed bytes, by name', async () => {
    await expect(readAll(Buffer.from('1f8b0800'.padEnd(1200, '0'), 'hex'))).rejects.toMatchObject({
      code: 'LAYER_INVALID',
      message: expect.stringContaining('gzip') as unknown,
    });
    await expect(readAll(Buffer.from('28b52ffd'.padEnd(1200, '0'), 'hex'))).rejects.toMatchObject({
      message: expect.stringContaining('zstd') as unknown,
    });
  });
});
