import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decompress } from '../../../src/blobs/compress.ts';
import { extractTar, type ExtractOptions } from '../../../src/blobs/extract.ts';
import type { Bytes } from '../../../src/blob-source.ts';
import { type Conflict, Staging } from '../../../src/blobs/staging.ts';
import { verified } from '../../../src/blobs/verified.ts';
import { isKitError } from '../../../src/errors.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { archive, entry, pax, type RawEntry } from './archive.ts';
import { Chunks, openFiles, paths, temporaryDirectory } from './workspace.ts';

/** A directory inside an otherwise empty one. */
function target(): string {
  const directory = join(temporaryDirectory(), 'a/b/out');
  mkdirSync(directory, { recursive: true });
  return directory;
}

async function extract(bytes: Bytes, directory: string, options: Partial<ExtractOptions> & { conflict?: Conflict } = {}): Promise<void> {
  const staging = new Staging(directory, options.conflict ?? 'fail');
  try {
    await extractTar(bytes, staging, { layer: 'sha256:x', ...options });
    staging.commit();
  } finally {
    await staging.discard();
  }
}

/** The code of the error; all else is as it was: no file, no folder for files on their way, no open file, a source that was ended. */
async function refusal(bytes: Uint8Array, directory = target(), conflict: Conflict = 'fail'): Promise<unknown> {
  const root = join(directory, '../../..');
  const before = paths(root);
  const source = new Chunks(bytes, 4096);
  const outcome = await extract(source, directory, { conflict }).then(
    () => 'extracted',
    (error: unknown) => (isKitError(error) ? error.code : error),
  );
  expect(paths(root)).toEqual(before);
  expect(openFiles(root)).toEqual([]);
  expect(source.ended).toBe(true);
  return outcome;
}

const GOOD: RawEntry = { name: 'good', content: 'good' };
const mode = (path: string) => statSync(path).mode & 0o7777;

describe('what an archive must not do', () => {
  const PATHS = ['../evil', 'w/../../evil', 'w/../evil', '..', '/evil', '//evil', 'C:/evil', 'w\\..\\evil', 'C:\\evil', 'a/\0b'];

  test.each(PATHS.slice(0, -1))('write to %j', async (name) => {
    expect(await refusal(archive(GOOD, { name, content: 'x' }))).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, { name, type: '5' }))).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, pax([['path', name]]), { name: 'harmless' }))).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, { name: 'L', type: 'L', content: `${name}\0` }, { name: 'harmless' }))).toBe('UNSAFE_PATH');
  });

  test.each(['.', './', '', './.', 'a/', 'a/.'])('give a file the name %j', async (name) => {
    expect(await refusal(archive(GOOD, { name, content: 'x' }))).toBe('UNSAFE_PATH');
  });

  test('name a NUL byte, or nothing, in a pax header', async () => {
    expect(await refusal(archive(pax([['path', 'a\0b']]), { name: 'a' }))).toBe('UNSAFE_PATH');
    expect(await refusal(archive(pax([['path', '']]), { name: 'a' }))).toBe('UNSAFE_PATH');
  });

  test.each(['1', '2', '3', '4', '6', 'S', 'V', 'M'])('hold an entry of type %s', async (type) => {
    expect(await refusal(archive(GOOD, { name: 'x', type, link: '../../outside' }))).toBe('UNSAFE_ENTRY');
  });

  test('hold a name twice, or a file that is a directory too', async () => {
    expect(await refusal(archive({ name: 'a' }, { name: './a' }))).toBe('UNSAFE_ENTRY');
    expect(await refusal(archive({ name: 'a' }, { name: 'a/b' }))).toBe('UNSAFE_ENTRY');
    expect(await refusal(archive({ name: 'a' }, { name: 'a', type: '5' }))).toBe('UNSAFE_ENTRY');
    expect(await refusal(archive({ name: 'a/b' }, { name: 'a' }))).toBe('UNSAFE_ENTRY');
    expect(await refusal(archive({ name: 'a', type: '5' }, { name: 'a' }))).toBe('UNSAFE_ENTRY');
  });

  test('nest deeper than a path can be long', async () => {
    const deep = 'd/'.repeat(5000);
    expect(await refusal(archive(GOOD, pax([['path', `${deep}file`]]), { name: 'x' }))).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, pax([['path', 'x'.repeat(256)]]), { name: 'x' }))).toBe('UNSAFE_PATH');
  });

  test('pass for a folder of files on their way', async () => {
    expect(await refusal(archive({ name: '.kit-unpack-1-1-abc/x' }))).toBe('UNSAFE_PATH');
    expect(await refusal(archive({ name: '.kit-unpack-1-1-abc' }))).toBe('UNSAFE_PATH');
  });

  test('end early, although good files came before', async () => {
    expect(await refusal(archive(GOOD, { name: 'a', content: 'x'.repeat(1000) }).subarray(0, 1800))).toBe('LAYER_INVALID');
    expect(await refusal(archive(GOOD, { name: 'a', content: 'x'.repeat(1_000_000) }).subarray(0, 900_000))).toBe('LAYER_INVALID');
    expect(await refusal(archive(GOOD, { name: 'a', content: 'x', size: '00004000000\0' }))).toBe('LAYER_INVALID');
    expect(await refusal(Buffer.concat([archive(GOOD), Buffer.from('more')]))).toBe('LAYER_INVALID');
    expect(await refusal(Buffer.alloc(0))).toBe('LAYER_INVALID');
  });
});

describe('what the target has already', () => {
  test('a file in the way', async () => {
    const out = target();
    writeFileSync(join(out, 'a'), 'old');
    mkdirSync(join(out, 'd'));
    writeFileSync(join(out, 'd/b'), 'old');
    const bytes = archive({ name: 'a', content: 'new' }, { name: 'd/b', content: 'new' }, { name: 'd/c', content: 'new' });
    const read = () => ['a', 'd/b', 'd/c'].map((name) => existsSync(join(out, name)) && readFileSync(join(out, name), 'utf8'));
    expect(await refusal(bytes, out)).toBe('PATH_EXISTS');
    expect(read()).toEqual(['old', 'old', false]);
    await extract(new Chunks(bytes, 600), out, { conflict: 'keep' });
    expect(read()).toEqual(['old', 'old', 'new']);
    await extract(new Chunks(bytes, 600), out, { conflict: 'overwrite' });
    expect(read()).toEqual(['new', 'new', 'new']);
    expect(paths(out)).toEqual(['a', 'd', 'd/b', 'd/c']);
  });

  test.each(['fail', 'keep', 'overwrite'] as const)('a directory where a file goes, and the reverse (%s)', async (conflict) => {
    const out = target();
    mkdirSync(join(out, 'd'));
    writeFileSync(join(out, 'f'), 'old');
    expect(await refusal(archive(GOOD, { name: 'd' }), out, conflict)).toBe('PATH_EXISTS');
    expect(await refusal(archive(GOOD, { name: 'f/x' }), out, conflict)).toBe('PATH_EXISTS');
    expect(await refusal(archive(GOOD, { name: 'f', type: '5' }), out, conflict)).toBe('PATH_EXISTS');
  });

  test.each(['fail', 'keep', 'overwrite'] as const)('a link out of it (%s)', async (conflict) => {
    const out = target();
    const outside = join(out, '../outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'there'), 'old');
    symlinkSync('../outside', join(out, 'link'));
    mkdirSync(join(out, 'd'));
    symlinkSync('../..', join(out, 'd/up'));
    expect(await refusal(archive(GOOD, { name: 'link/evil' }), out, conflict)).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, { name: 'link/there' }), out, conflict)).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, { name: 'link', type: '5' }, { name: 'link/x' }), out, conflict)).toBe('UNSAFE_PATH');
    expect(await refusal(archive(GOOD, { name: 'd/up/evil' }), out, conflict)).toBe('UNSAFE_PATH');
  });

  test('a link to nothing where a directory goes', async () => {
    const out = target();
    symlinkSync('missing', join(out, 'link'));
    expect(await refusal(archive(GOOD, { name: 'link/x' }), out)).toBe('PATH_EXISTS');
  });

  test('a link to a directory inside is a directory', async () => {
    const out = target();
    mkdirSync(join(out, 'real'));
    symlinkSync('real', join(out, 'link'));
    await extract(new Chunks(archive({ name: 'link', type: '5' }, { name: 'link/x', content: 'x' }), 600), out);
    expect(lstatSync(join(out, 'link')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(out, 'real/x'), 'utf8')).toBe('x');
  });

  test('two names for one place end in one file only when asked to', async () => {
    const out = target();
    mkdirSync(join(out, 'real'));
    symlinkSync('real', join(out, 'link'));
    expect(await refusal(archive({ name: 'link/x' }, { name: 'real/x' }), out)).toBe('PATH_EXISTS');
  });

  test('a link where a file goes is replaced, never written through', async () => {
    const out = target();
    writeFileSync(join(out, '../outside'), 'outside');
    symlinkSync('../outside', join(out, 'a'));
    expect(await refusal(archive({ name: 'a', content: 'new' }), out)).toBe('PATH_EXISTS');
    await extract(new Chunks(archive({ name: 'a', content: 'new' }), 600), out, { conflict: 'overwrite' });
    expect(readFileSync(join(out, 'a'), 'utf8')).toBe('new');
    expect(readFileSync(join(out, '../outside'), 'utf8')).toBe('outside');
  });
});

describe('what is extracted', () => {
  test('files, directories and modes, whatever the umask; setuid, setgid and sticky bits are lost', async () => {
    const out = target();
    const umask = process.umask(0o077);
    onTestFinished(() => void process.umask(umask));
    const modes = [0o755, 0o644, 0o600, 0o444, 0, 0o4755, 0o2755, 0o1777];
    const files = modes.map((bits): RawEntry => ({ name: `d/f${bits.toString(8)}`, mode: bits, content: 'x' }));
    const large = { name: 'd/large', mode: 0o4751, content: Buffer.alloc(500_000) };
    const bytes = archive(
      { name: 'd', type: '5', mode: 0o3775 },
      ...files,
      large,
      { name: 'closed', type: '5', mode: 0o555 },
      { name: 'closed/x' },
    );
    await extract(new Chunks(bytes, 1000), out);
    expect(modes.map((bits) => mode(join(out, `d/f${bits.toString(8)}`)))).toEqual(modes.map((bits) => bits & 0o777));
    expect([mode(join(out, 'd')), mode(join(out, 'closed')), mode(join(out, 'd/large'))]).toEqual([0o775, 0o555, 0o751]);
    expect(statSync(join(out, 'd/large')).size).toBe(500_000);
  });

  test('directories that no entry describes are made; those that are there keep their mode', async () => {
    const out = target();
    mkdirSync(join(out, 'there'), { mode: 0o700 });
    await extract(new Chunks(archive({ name: 'there', type: '5', mode: 0o777 }, { name: 'there/new/x' }), 600), out);
    expect([mode(join(out, 'there')), mode(join(out, 'there/new'))]).toEqual([0o700, 0o755]);
  });

  test('entries for the target itself, empty directories and names that only look dangerous', async () => {
    const out = target();
    const names = ['a..b', '..a', 'a..', '...', 'x:y', '-rf', 'new\nline', '\u202Eabc'];
    const bytes = archive(
      { name: '.', type: '5' },
      { name: './', type: '5' },
      { name: 'e/', type: '5' },
      ...names.map((name) => ({ name })),
    );
    await extract(new Chunks(bytes, 600), out);
    expect(paths(out)).toEqual([...names, 'e'].toSorted());
  });

  test('below a folder, and only what is selected', async () => {
    const out = target();
    const bytes = archive({ name: 'd', type: '5' }, { name: 'd/a' }, { name: 'd/b' }, { name: 'c' });
    await extract(new Chunks(bytes, 600), out, { base: 'x/y', select: (path) => path === 'x/y/d/b' });
    expect(paths(out)).toEqual(['x', 'x/y', 'x/y/d', 'x/y/d/b']);
  });

  test('names of 1500 levels', async () => {
    const out = temporaryDirectory();
    const deep = `${'d/'.repeat(1500)}file`;
    await extract(new Chunks(archive(pax([['path', deep]]), { name: 'x', content: 'deep' }), 600), out);
    expect(readFileSync(join(out, deep), 'utf8')).toBe('deep');
  });

  test('a hundred thousand entries', async () => {
    const out = target();
    const directories = Array.from({ length: 100 }, (_, index) => entry({ name: `d${index}`, type: '5' }));
    const blocks = Array.from({ length: 99_900 }, (_, index) => ({ name: `d${index % 100}/${index}` }));
    const staging = new Staging(out, 'fail');
    try {
      let wanted = 0;
      await extractTar(new Chunks(archive(...directories, ...blocks), 1_000_000), staging, { layer: 'x', select: () => (wanted += 1) < 0 });
      expect(wanted).toBe(99_900);
    } finally {
      await staging.discard();
    }
  });
});

describe('a source that fails or is damaged', () => {
  const content = archive(...Array.from({ length: 50 }, (_, index) => ({ name: `f${index}`, content: Buffer.alloc(20_000, index) })));

  test.each([700, 300_000, content.byteLength - 700])('a flipped byte at %d is a wrong digest, not a broken archive', async (at) => {
    for (const [bytes, compression] of [
      [content, 'none'],
      [gzipSync(content, { level: 0 }), 'gzip'],
    ] as const) {
      const descriptor = { mediaType: 'x', digest: digestOf(bytes), size: bytes.byteLength };
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 0x55;
      const source = new Chunks(damaged, 4096);
      const out = target();
      await expect(extract(decompress(verified(source, descriptor), compression, 'x'), out)).rejects.toMatchObject({
        code: 'DIGEST_MISMATCH',
      });
      expect(paths(out)).toEqual([]);
      expect(source.ended).toBe(true);
    }
  });

  test.each([1000, 500_000])('its error comes through as it is, after %d bytes', async (length) => {
    const failure = new Error('the connection broke');
    const out = target();
    const large = archive({ name: 'large', content: Buffer.alloc(400_000) });
    for (const bytes of [content, large]) {
      await expect(extract(new Chunks(bytes.subarray(0, length), 4096, failure), out)).rejects.toBe(failure);
    }
    expect(paths(out)).toEqual([]);
    expect(openFiles(out)).toEqual([]);
  });

  test('a wrong digest at the very end leaves nothing', async () => {
    const out = target();
    const descriptor = { mediaType: 'x', digest: digestOf(Buffer.from('another')), size: content.byteLength };
    await expect(extract(verified(new Chunks(content, 4096), descriptor), out)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(paths(out)).toEqual([]);
  });
});

function sample(): string {
  const directory = join(temporaryDirectory(), 'in');
  const names = ['short', 'dir/sub/file', 'empty/', 'spaces in name', 'é/模型', `${'long-directory-name/'.repeat(7)}file`, 'n'.repeat(98)];
  for (const name of names) {
    const path = join(directory, name);
    mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true });
    if (!name.endsWith('/')) writeFileSync(path, name.repeat(100));
  }
  writeFileSync(join(directory, 'run.sh'), '#!/bin/sh\n');
  chmodSync(join(directory, 'run.sh'), 0o755);
  return directory;
}

/** Mode and content of everything below a directory. */
function snapshot(directory: string): [path: string, mode: number, content: string][] {
  return paths(directory).map((path) => {
    const full = join(directory, path);
    return [path, mode(full), statSync(full).isFile() ? readFileSync(full, 'utf8') : ''];
  });
}

async function extracted(bytes: Uint8Array): Promise<ReturnType<typeof snapshot>> {
  const out = target();
  await extract(new Chunks(bytes, 10_000), out);
  return snapshot(out);
}

describe('archives of other tools', () => {
  test.each(['pax', 'gnu', 'ustar', 'oldgnu', 'posix'])('GNU tar --format=%s', async (format) => {
    const directory = sample();
    expect(await extracted(execFileSync('tar', [`--format=${format}`, '-cf', '-', '-C', directory, '.']))).toEqual(snapshot(directory));
  });

  test('GNU tar --format=v7', async () => {
    const directory = sample();
    execFileSync('rm', ['-r', join(directory, 'long-directory-name')]);
    expect(await extracted(execFileSync('tar', ['--format=v7', '-cf', '-', '-C', directory, '.']))).toEqual(snapshot(directory));
  });

  test('GNU tar with a sparse file is refused by name', async () => {
    const directory = temporaryDirectory();
    execFileSync('truncate', ['-s', '10M', join(directory, 'sparse')]);
    writeFileSync(join(directory, 'sparse'), 'x', { flag: 'a' });
    for (const format of ['gnu', 'pax']) {
      expect(await refusal(execFileSync('tar', [`--format=${format}`, '-cSf', '-', '-C', directory, 'sparse']))).toBe('UNSAFE_ENTRY');
    }
  });

  test.each(['PAX_FORMAT', 'GNU_FORMAT', 'USTAR_FORMAT'])('Python tarfile.%s', async (format) => {
    const directory = sample();
    const script = `import sys, tarfile\nwith tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.${format}) as t: t.add(sys.argv[1], arcname='.')`;
    expect(await extracted(execFileSync('python3', ['-c', script, directory]))).toEqual(snapshot(directory));
  });
});

test('a full disk is named, and nothing stays', async (context) => {
  const out = target();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', out]).status !== 0) context.skip('mount is not permitted');
  onTestFinished(() => void spawnSync('umount', [out]));
  for (const [size, count] of [
    [200_000, 20],
    [3_000_000, 2],
  ] as const) {
    const content = Buffer.alloc(size, 1);
    const files = Array.from({ length: count }, (_, index) => ({ name: `d/${index}`, content }));
    await expect(extract(new Chunks(archive(...files), 65_536), out)).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(paths(out)).toEqual([]);
    expect(openFiles(out)).toEqual([]);
  }
});
