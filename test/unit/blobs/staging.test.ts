import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Staging } from '../../../src/blobs/staging.ts';
import { Chunks, paths, temporaryDirectory } from './workspace.ts';

const content = (text: string) => Buffer.from(text);

function stage(target: string, conflict: 'fail' | 'keep' | 'overwrite' = 'fail'): Staging {
  const staging = new Staging(target, conflict);
  onTestFinished(async () => await staging.discard());
  return staging;
}

describe('the target', () => {
  test('is made with all that leads to it, and goes again when nothing comes', async () => {
    const root = temporaryDirectory();
    const staging = new Staging(join(root, 'a/b/c'), 'fail');
    staging.addSmallFile('x', 0o644, content('x'), 'layer');
    await staging.discard();
    expect(paths(root)).toEqual([]);
  });

  test('stays with what was committed', async () => {
    const root = temporaryDirectory();
    const staging = new Staging(join(root, 'a/b'), 'fail');
    staging.addSmallFile('x', 0o644, content('x'), 'layer');
    staging.commit();
    await staging.discard();
    expect(paths(root)).toEqual(['a', 'a/b', 'a/b/x']);
  });

  test('may be a file, which is named', () => {
    const root = temporaryDirectory();
    writeFileSync(join(root, 'file'), '');
    expect(() => new Staging(join(root, 'file'), 'fail')).toThrow(expect.objectContaining({ code: 'PATH_EXISTS' }));
    expect(() => new Staging(join(root, 'file/below'), 'fail')).toThrow(expect.objectContaining({ code: 'PATH_NOT_FOUND' }));
    expect(paths(root)).toEqual(['file']);
  });

  test('that must not be written to is named', (context) => {
    const root = temporaryDirectory();
    const target = join(root, 'closed');
    mkdirSync(target, { mode: 0o555 });
    chmodSync(root, 0o755);
    const script = `
      import { Staging } from ${JSON.stringify(join(import.meta.dirname, '../../../src/blobs/staging.ts'))};
      if (process.getuid() === 0) process.setuid(65534);
      try { new Staging(${JSON.stringify(target)}, 'fail'); } catch (error) { process.stdout.write(error.code); }`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' });
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(stderr)) context.skip('another user cannot read the source');
    expect(stdout).toBe('PATH_UNREADABLE');
  });
});

// the name of a folder of a run that is over, of this machine
function leftOver(root: string): string {
  const script = `
    import { Staging } from ${JSON.stringify(join(import.meta.dirname, '../../../src/blobs/staging.ts'))};
    new Staging(${JSON.stringify(root)}, 'fail').addSmallFile('half', 0o644, Buffer.from('x'), 'layer');
    process.kill(process.pid, 'SIGKILL');`;
  spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script]);
  const [name] = readdirSync(root);
  expect(name).toMatch(/^\.kit-unpack-/);
  return name as string;
}

describe('what a killed run left', () => {
  test('is removed by the next one', async () => {
    const root = temporaryDirectory();
    leftOver(root);
    const staging = new Staging(root, 'fail');
    await staging.discard();
    expect(paths(root)).toEqual([]);
  });

  test('is left alone while its run goes on in another process', async () => {
    const root = temporaryDirectory();
    const script = `
      import { Staging } from ${JSON.stringify(join(import.meta.dirname, '../../../src/blobs/staging.ts'))};
      new Staging(${JSON.stringify(root)}, 'fail').addSmallFile('half', 0o644, Buffer.from('x'), 'layer');
      process.stdout.write('ready');
      process.stdin.resume();`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill());
    await once(child.stdout, 'data');
    await new Staging(root, 'fail').discard();
    expect(paths(root).filter((path) => path.endsWith('/half'))).toHaveLength(1);
  });

  test('is left alone when it may belong to a run elsewhere, or to this process', async () => {
    const root = temporaryDirectory();
    const elsewhere = leftOver(root).replace(/^(\.kit-unpack-)\w{8}/, '$100000000');
    mkdirSync(join(root, elsewhere));
    const other = stage(root);
    other.addSmallFile('x', 0o644, content('x'), 'layer');
    await new Staging(root, 'fail').discard();
    other.commit();
    expect(readdirSync(root)).toContain(elsewhere);
    expect(readFileSync(join(root, 'x'), 'utf8')).toBe('x');
  });
});

describe('several layers', () => {
  test('may share directories, but no file', async () => {
    const staging = stage(temporaryDirectory());
    staging.addDirectory('d', 0o700, 'one');
    staging.addDirectory('d', 0o750, 'two');
    staging.addSmallFile('d/a', 0o644, content('a'), 'one');
    const duplicate = { code: 'UNSAFE_ENTRY', message: expect.stringContaining('in the layers one and two') as unknown };
    expect(() => staging.wants('d/a', 'two')).toThrow(expect.objectContaining(duplicate));
    await expect(staging.addFile('d/a', 0o644, new Chunks(content('b'), 1), 'two')).rejects.toMatchObject(duplicate);
    staging.commit();
    expect(statSync(join(staging.target, 'd')).mode & 0o777).toBe(0o750);
    expect(readFileSync(join(staging.target, 'd/a'), 'utf8')).toBe('a');
  });

  test('that write one file at the same time are refused, whichever is first', async () => {
    const staging = stage(temporaryDirectory());
    expect(staging.wants('a', 'one') && staging.wants('a', 'two')).toBe(true);
    const results = await Promise.allSettled(
      ['one', 'two'].map((layer) => staging.addFile('a', 0o644, new Chunks(content(layer), 1), layer)),
    );
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('a commit that meets something new', () => {
  test('takes everything back', async () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'd'));
    writeFileSync(join(root, 'd/old'), 'old');
    const staging = stage(root, 'overwrite');
    for (const path of ['a', 'd/old', 'd/new', 'n/x', 'z']) staging.addSmallFile(path, 0o644, content('new'), 'layer');
    mkdirSync(join(root, 'z'));
    const before = statSync(join(root, 'd/old')).ino;
    expect(() => staging.commit()).toThrow(expect.objectContaining({ code: 'PATH_EXISTS' }));
    await staging.discard();
    expect(paths(root)).toEqual(['d', 'd/old', 'z']);
    expect(readFileSync(join(root, 'd/old'), 'utf8')).toBe('old');
    expect(statSync(join(root, 'd/old')).ino).toBe(before);
  });

  test('does not overwrite it', async () => {
    const root = temporaryDirectory();
    const staging = stage(root);
    for (const path of ['a', 'b']) staging.addSmallFile(path, 0o644, content('new'), 'layer');
    writeFileSync(join(root, 'b'), 'theirs');
    expect(() => staging.commit()).toThrow(
      expect.objectContaining({ code: 'PATH_EXISTS', message: expect.stringContaining('/b') as unknown }),
    );
    await staging.discard();
    expect(paths(root)).toEqual(['b']);
    expect(readFileSync(join(root, 'b'), 'utf8')).toBe('theirs');
  });
});

test('names that differ only in case are told', () => {
  const staging = stage(temporaryDirectory());
  for (const path of ['d/a', 'D/b', 'd/A', 'É', 'é']) staging.addSmallFile(path, 0o644, content('x'), 'layer');
  expect(staging.caseCollisions()).toEqual([
    ['d', 'D'],
    ['d/a', 'd/A'],
    ['É', 'é'],
  ]);
});

/** A blob, and how a link to it is placed. */
function linked(): { root: string; blob: string; place: (file: string) => Promise<boolean> } {
  const root = temporaryDirectory();
  const blob = join(root, 'blob');
  writeFileSync(blob, 'blob');
  chmodSync(blob, 0o444);
  const place = async (file: string): Promise<boolean> => {
    linkSync(blob, file);
    return await Promise.resolve(true);
  };
  return { root, blob, place };
}
const state = (file: string) => ({ text: readFileSync(file, 'utf8'), mode: statSync(file).mode & 0o777, links: statSync(file).nlink });

describe('a link to a file elsewhere', () => {
  test('replaces a file, and is replaced by one, without a byte or mode going through it', async () => {
    const { root, blob, place } = linked();
    const out = join(root, 'out');
    mkdirSync(out);
    writeFileSync(join(out, 'x'), 'mine');
    const first = stage(out, 'overwrite');
    expect(await first.addPlaced('x', 'layer', place)).toBe(true);
    first.commit();
    await first.discard();
    expect(state(join(out, 'x'))).toEqual({ text: 'blob', mode: 0o444, links: 2 });
    // the same link once more: renaming one name of a file over another does nothing
    const again = stage(out, 'overwrite');
    await again.addPlaced('x', 'layer', place);
    again.commit();
    await again.discard();
    expect(state(join(out, 'x'))).toEqual({ text: 'blob', mode: 0o444, links: 2 });
    const copied = stage(out, 'overwrite');
    await copied.addFile('x', 0o755, new Chunks(content('copy'), 2), 'layer');
    copied.commit();
    await copied.discard();
    expect(state(join(out, 'x'))).toEqual({ text: 'copy', mode: 0o755, links: 1 });
    expect(state(blob)).toEqual({ text: 'blob', mode: 0o444, links: 1 });
    expect(paths(out)).toEqual(['x']);
  });

  test('goes again when the commit fails half-way, and what it replaced comes back', async () => {
    const { root, blob, place } = linked();
    const out = join(root, 'out');
    mkdirSync(out);
    writeFileSync(join(out, 'a'), 'mine');
    linkSync(blob, join(out, 'b'));
    const staging = stage(out, 'overwrite');
    for (const name of ['a', 'b', 'c']) await staging.addPlaced(name, 'layer', place);
    mkdirSync(join(out, 'c'));
    expect(() => staging.commit()).toThrow(expect.objectContaining({ code: 'PATH_EXISTS' }));
    await staging.discard();
    expect(paths(out)).toEqual(['a', 'b', 'c']);
    expect(state(join(out, 'a')).text).toBe('mine');
    expect(state(blob)).toEqual({ text: 'blob', mode: 0o444, links: 2 });
  });

  test('keeps its place when none was made, and is refused where two layers have one', async () => {
    const { root, place } = linked();
    const staging = stage(join(root, 'out'));
    expect(await staging.addPlaced('d/x', 'one', async () => await Promise.resolve(false))).toBe(false);
    expect(staging.fileCount).toBe(0);
    await staging.addPlaced('d/x', 'one', place);
    await expect(staging.addPlaced('d/x', 'two', place)).rejects.toMatchObject({ code: 'UNSAFE_ENTRY' });
    expect(Buffer.concat(await Array.fromAsync(staging.read('d/x'))).toString()).toBe('blob');
  });
});
