import { execFile, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StartedRegistry } from '../support/cosign.ts';
import { copyGoldenInput, type Sandbox, sandbox } from '../support/kit.ts';
import { serveStore } from '../support/kit-serve.ts';

const has = (program: string, flag: string): boolean => spawnSync(program, [flag]).status === 0;
const hasSkopeo = has('skopeo', '--version');
const hasCrane = has('crane', 'version');
const hasOras = has('oras', 'version');

/** Not synchronously: the registry is in this process. */
async function run(box: Sandbox, program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, args, { cwd: box.root, maxBuffer: 64 * 1024 * 1024 });
  return stdout + stderr;
}

/** Those of `files` that are not as ours are. */
async function differing(box: Sandbox, files: readonly string[], folder: string): Promise<string[]> {
  const same = await Promise.all(
    files.map(async (path) => (await readFile(box.path(folder, path))).equals(await readFile(box.path('ours', path)))),
  );
  return files.filter((_, index) => same[index] !== true);
}

const GGUF = 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: gguf/tiny-golden-F32.gguf}\n';

/** By format: how it is made, whether it has a Kitfile of one GGUF file alone, and whether its layers are files that carry their names. */
const FORMATS = [
  { format: 'ModelKit', flags: [], isGguf: false, isTitled: false },
  { format: 'ModelPack, raw', flags: ['--to', 'modelpack'], isGguf: false, isTitled: true },
  { format: 'ModelPack, tar', flags: ['--to', 'modelpack', '--layer-format', 'tar'], isGguf: false, isTitled: false },
  { format: 'Docker v0.1', flags: ['--to', 'docker-model'], isGguf: true, isTitled: true },
  { format: 'Docker v0.2', flags: ['--to', 'docker-model'], isGguf: false, isTitled: true },
  { format: 'OMLMD', flags: ['--to', 'omlmd'], isGguf: false, isTitled: true },
  { format: 'Modelcar', flags: ['--to', 'modelcar', '--platform', 'linux/amd64'], isGguf: false, isTitled: false },
];

describe.each(FORMATS)('$format', ({ format, flags, isGguf, isTitled }) => {
  let registry: StartedRegistry;
  beforeAll(async () => {
    registry = await serveStore();
  });
  afterAll(async () => {
    await registry.close();
  });

  async function publish(): Promise<{ box: Sandbox; name: string; digest: string; files: string[] }> {
    const box = await sandbox();
    await copyGoldenInput(box.path('src'));
    if (isGguf) await box.write({ 'src/Kitfile': GGUF });
    const name = `${registry.host}/team/model:v1`;
    if (format === 'Modelcar') {
      await box.ok('pack src -t tiny:v1');
      await box.ok(['convert', 'tiny:v1', name, ...flags]);
    } else await box.ok(['pack', 'src', '-t', name, '--push', ...flags]);
    const { digest } = JSON.parse(await box.ok(['inspect', '--remote', name])) as { digest: string };
    await box.ok(['unpack', name, '-d', 'ours']);
    return { box, name, digest, files: (await box.tree('ours')).filter((path) => !path.endsWith('/') && path !== 'Kitfile') };
  }

  test.skipIf(!hasSkopeo)('skopeo copies it with its digest, and what it copied is unpacked', async () => {
    const { box, name, digest, files } = await publish();
    await run(box, 'skopeo', '--insecure-policy', 'copy', '--preserve-digests', '--src-tls-verify=false', `docker://${name}`, 'oci:lay:v1');
    expect(JSON.parse(await box.ok('inspect oci:lay:v1'))).toMatchObject({ digest });
    await box.ok('unpack oci:lay:v1 -d theirs');
    expect(await differing(box, files, 'theirs')).toEqual([]);
  });

  test.skipIf(!hasCrane)('crane copies it with its digest, and writes a layout that is unpacked', async () => {
    const { box, name, digest, files } = await publish();
    const copied = name.replace('/team/', '/prod/');
    await run(box, 'crane', 'copy', '--insecure', name, copied);
    expect((await run(box, 'crane', 'digest', '--insecure', copied)).trim()).toBe(digest);
    await run(box, 'crane', 'validate', '--fast', '--insecure', '--remote', copied);
    await run(box, 'crane', 'pull', '--insecure', '--format', 'oci', copied, 'lay');
    await box.ok(['unpack', `oci:lay@${digest}`, '-d', 'theirs']);
    expect(await differing(box, files, 'theirs')).toEqual([]);
  });

  test.skipIf(!hasOras)('oras copies it, and pulls the files where they have names', async () => {
    const { box, name, digest, files } = await publish();
    await run(box, 'oras', 'copy', '--from-plain-http', name, '--to-oci-layout', 'lay:v1');
    await box.ok(['unpack', `oci:lay@${digest}`, '-d', 'theirs']);
    expect(await differing(box, files, 'theirs')).toEqual([]);
    if (!isTitled) return;
    await run(box, 'oras', 'pull', '--plain-http', '-o', 'pulled', name);
    expect(await differing(box, files, 'pulled')).toEqual([]);
  });
});
