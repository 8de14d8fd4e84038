import { createHash } from 'node:crypto';
import { chmod, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';

interface Migrated {
  readonly repository: string;
  readonly digest: string;
  readonly tags: readonly string[];
  readonly conflicts: readonly string[];
  readonly bytes: number;
  readonly problem?: string;
}

/** A store that the real KitOps wrote, as `theirs`. */
async function withTheirs(): Promise<Sandbox> {
  const box = await sandbox();
  await cp(join(GOLDEN, 'kit-home'), box.path('theirs'), { recursive: true });
  return box;
}

const list = async (box: Sandbox, home: string): Promise<{ repo: string; digest: string; tags: string[] }[]> =>
  JSON.parse(await box.ok(['--config', box.path(home), 'list', '--format', 'json'])) as never;

/** Every file with the digest of its content. */
async function contentOf(box: Sandbox, folder: string): Promise<string[]> {
  const files = (await box.tree(folder)).filter((path) => !path.endsWith('/'));
  return await Promise.all(
    files.map(
      async (path) =>
        `${path} ${createHash('sha256')
          .update(await readFile(box.path(folder, path)))
          .digest('hex')}`,
    ),
  );
}

const migrate = async (box: Sandbox, flags: string[] = []): Promise<Migrated[]> =>
  JSON.parse((await box.kit(['migrate', 'theirs', '--format', 'json', ...flags])).stdout) as Migrated[];

describe('a store of KitOps', () => {
  test('is taken over with all its tags, and stays as it was', async () => {
    const box = await withTheirs();
    const before = await contentOf(box, 'theirs');
    const wanted = await migrate(box, ['--dry-run']);
    expect(wanted.flatMap(({ tags }) => tags).length).toBeGreaterThan(1);
    expect(wanted.some(({ bytes }) => bytes > 0)).toBe(true);
    expect(await list(box, 'home')).toEqual([]);
    const taken = await migrate(box);
    expect(taken.map(({ digest, tags }) => ({ digest, tags }))).toEqual(wanted.map(({ digest, tags }) => ({ digest, tags })));
    expect(await contentOf(box, 'theirs')).toEqual(before);
    expect(await list(box, 'home')).toEqual(await list(box, 'theirs'));
    await box.ok('store check');
    const [first] = taken.filter(({ tags }) => tags.length > 0);
    await box.ok(['unpack', `${first?.repository}:${first?.tags[0]}`, '-d', 'out']);
    expect(await box.tree('out')).toContain('Kitfile');
  });

  test('is taken over once: what is there already is found', async () => {
    const box = await withTheirs();
    await migrate(box);
    const again = await migrate(box);
    expect(again.every(({ bytes, conflicts }) => bytes === 0 && conflicts.length === 0)).toBe(true);
    expect(await list(box, 'home')).toEqual(await list(box, 'theirs'));
  });

  test('does not move a tag that names something else here', async () => {
    const box = await withTheirs();
    const [one] = (await migrate(box, ['--dry-run'])).filter(({ tags }) => tags.length > 0);
    await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\ndocs: [{path: a.txt}]\n', 'src/a.txt': 'mine' });
    const name = `${one?.repository}:${one?.tags[0]}`;
    await box.ok(['pack', 'src', '-t', name]);
    const mine = (JSON.parse(await box.ok(['inspect', name])) as { digest: string }).digest;
    const run = await box.kit('migrate theirs');
    expect([run.status, run.stderr]).toEqual([1, expect.stringContaining(`${name}: local storage has something else`)]);
    expect(JSON.parse(await box.ok(['inspect', name]))).toHaveProperty('digest', mine);
    expect(JSON.parse(await box.ok(['inspect', `${one?.repository}@${one?.digest}`]))).toHaveProperty('digest', one?.digest);
  });

  test('of which a blob is damaged: the artifact is left out, all others come', async () => {
    const box = await withTheirs();
    const [one, ...others] = (await migrate(box, ['--dry-run'])).filter(({ tags }) => tags.length > 0);
    const blobs = box.path('theirs/storage/blobs/sha256');
    const manifest = JSON.parse(await readFile(join(blobs, String(one?.digest).slice(7)), 'utf8')) as { layers: { digest: string }[] };
    const path = join(blobs, manifest.layers[0]?.digest.slice(7) ?? '');
    const bytes = await readFile(path);
    bytes[600] = (bytes[600] ?? 0) ^ 1;
    await chmod(path, 0o644);
    await writeFile(path, bytes);
    const run = await box.kit('migrate theirs');
    expect([run.status, run.stdout]).toEqual([6, expect.stringContaining(`Damaged ${one?.repository}@${one?.digest}`)]);
    const here = (await list(box, 'home')).map(({ digest }) => digest);
    expect(here).not.toContain(one?.digest);
    const layersOf = async (digest: string) => await readFile(join(blobs, digest.slice(7)), 'utf8');
    const texts = await Promise.all(others.map(async ({ digest }) => ({ digest, text: await layersOf(digest) })));
    const sound = texts.filter(({ text }) => !text.includes(manifest.layers[0]?.digest ?? '')).map(({ digest }) => digest);
    expect(here).toEqual(expect.arrayContaining(sound));
    await box.ok('store check');
  });
});

test('a folder without a store, and the one in use, are refused', async () => {
  const box = await withTheirs();
  await box.write({ 'empty/x': '' });
  expect(await box.kit('migrate empty')).toMatchObject({ status: 3, stderr: expect.stringContaining('holds no storage') as string });
  expect(await readdir(box.path('empty'))).toEqual(['x']);
  expect(await box.kit('--config theirs migrate theirs')).toMatchObject({ status: 2, stderr: expect.stringContaining('in use') as string });
});
