import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { copyGoldenInput, type Sandbox, sandbox } from '../support/kit.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'kit.js');
const hasSkopeo = spawnSync('skopeo', ['--version']).status === 0;

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

async function packed(): Promise<{ box: Sandbox; digest: string; manifest: Manifest }> {
  const box = await sandbox();
  await copyGoldenInput(box.path('src'));
  await box.ok('pack src -t tiny:v1');
  const { digest, manifest } = JSON.parse(await box.ok('inspect tiny:v1')) as { digest: string; manifest: Manifest };
  return { box, digest, manifest };
}

/** `kit load` of a pipe, into another home. */
function piped(box: Sandbox, file: string, ...args: string[]): string {
  const command = 'archive=$1 && shift && cat "$archive" | "$@"';
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command, 'sh', file, process.execPath, PROGRAM, 'load', ...args], {
    cwd: box.root,
    env: { ...process.env, KIT_HOME: box.path('elsewhere'), CI: '' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`kit load ${args.join(' ')}: ${stderr}`);
  return stdout;
}

function skopeo(box: Sandbox, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('skopeo', ['--insecure-policy', ...args], { cwd: box.root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function expectSameFiles(box: Sandbox, out: string): Promise<void> {
  const tree = await box.tree(out);
  expect(tree).toContain('weights/');
  // the text of the Kitfile comes back only where it was packed
  for (const path of tree.filter((one) => !one.endsWith('/') && one !== 'Kitfile'))
    expect(await readFile(box.path(out, path)), path).toEqual(await readFile(box.path('src', path)));
}

describe.skipIf(!hasSkopeo)('skopeo', () => {
  test('reads our storage, layout and archive', async () => {
    const { box, digest, manifest } = await packed();
    await box.ok('push tiny:v1 oci:layout:v1');
    await box.ok('push tiny:v1 oci-archive:tiny.tar:v1');
    for (const place of ['oci:home/storage:tiny:v1', 'oci:layout:v1', 'oci-archive:tiny.tar:v1']) {
      const seen = JSON.parse(skopeo(box, 'inspect', '--raw', place)) as Manifest;
      expect(
        seen.layers.map((layer) => layer.digest),
        place,
      ).toEqual(manifest.layers.map((layer) => layer.digest));
      expect(digestOf(Buffer.from(skopeo(box, 'inspect', '--raw', place))), place).toBe(digest);
    }
  });

  test('an artifact that it copied is unpacked, with the same digest', async () => {
    const { box, digest } = await packed();
    await box.ok('push tiny:v1 oci:layout:v1');
    skopeo(box, 'copy', '--preserve-digests', 'oci:layout:v1', 'oci:theirs:v1');
    skopeo(box, 'copy', '--preserve-digests', 'oci:layout:v1', 'oci-archive:theirs.tar:v1');
    for (const place of ['oci:theirs:v1', 'oci-archive:theirs.tar:v1']) {
      expect(JSON.parse(await box.ok(`inspect ${place}`))).toHaveProperty('digest', digest);
      const out = place.replaceAll(/\W/g, '-');
      await box.ok(`unpack ${place} -d ${out}`);
      await expectSameFiles(box, out);
    }
  });
});

const there = (box: Sandbox) => ({ env: { KIT_HOME: box.path('elsewhere') } });

describe.skipIf(!hasSkopeo)('skopeo and archives', () => {
  test('reads what `kit save` writes, by its full name', async () => {
    const { box, digest } = await packed();
    await box.ok('tag tiny:v1 ghcr.io/team/tiny:v2');
    await box.ok('save tiny:v1 ghcr.io/team/tiny:v2 -o both.tar');
    for (const name of ['tiny:v1', 'ghcr.io/team/tiny:v2']) {
      expect(digestOf(Buffer.from(skopeo(box, 'inspect', '--raw', `oci-archive:both.tar:${name}`))), name).toBe(digest);
      skopeo(box, 'copy', '--preserve-digests', `oci-archive:both.tar:${name}`, `oci:from-archive:${name}`);
    }
    await box.ok(`unpack oci:from-archive@${digest} -d out`);
    await expectSameFiles(box, 'out');
  });

  test.each(['file', 'pipe'])('`kit load` reads what it writes, from a %s', async (way) => {
    const { box, digest } = await packed();
    for (const name of ['ghcr.io/team/tiny:v9', 'v9', ''])
      skopeo(
        box,
        'copy',
        '--preserve-digests',
        'oci:home/storage:tiny:v1',
        `oci-archive:named-${name.length}.tar${name === '' ? '' : `:${name}`}`,
      );
    const load = async (file: string, ...args: string[]): Promise<string> =>
      way === 'file' ? await box.ok(['load', '-i', file, ...args], there(box)) : piped(box, file, ...args);
    expect(await load('named-20.tar')).toBe(`Loaded ghcr.io/team/tiny:v9 ${digest}\n`);
    expect(await load('named-2.tar', '--name', 'tiny')).toBe(`Loaded tiny:v9 ${digest}\n`);
    expect(await load('named-0.tar')).toBe(`Loaded ${digest}\n`);
    await box.ok('unpack tiny:v9 -d out', there(box));
    await expectSameFiles(box, 'out');
  });

  test('an archive of an older `docker save` is refused with the way to convert it', async () => {
    const box = await sandbox();
    await box.write({ 'manifest.json': '[]' });
    expect(spawnSync('tar', ['cf', 'docker.tar', 'manifest.json'], { cwd: box.root }).status).toBe(0);
    const run = await box.kit('load -i docker.tar');
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('skopeo copy docker-archive:');
  });

  test.skipIf(!hasDockerRegistry)('`kit copy` and it agree; within a registry bytes stay where they are', async () => {
    const { box, digest } = await packed();
    const [a, b] = [await startDockerRegistry(), await startDockerRegistry()];
    onTestFinished(async () => {
      await Promise.all([a.close(), b.close()]);
    });
    await box.ok(`push tiny:v1 ${a.host}/team/tiny:v1`);
    await box.ok(`copy ${a.host}/team/tiny:v1 ${b.host}/ours/tiny`, there(box));
    skopeo(
      box,
      'copy',
      '--all',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${b.host}/ours/tiny:v1`,
      `docker://${a.host}/back/tiny:v1`,
    );
    expect(JSON.parse(await box.ok(`inspect --remote ${a.host}/back/tiny:v1`))).toHaveProperty('digest', digest);
    const mounted = JSON.parse(await box.ok(`copy --format json ${a.host}/team/tiny:v1 ${a.host}/prod/tiny`, there(box))) as unknown;
    expect(mounted).toMatchObject([{ digest, moved: { count: 1 }, mounted: { count: 11 } }]);
  });
});

/** Copies under a policy that asks for a signature with `key`; what went wrong, or nothing. */
function admit(box: Sandbox, name: string, key: string): string {
  const args = [
    '--policy',
    `${key}.json`,
    '--registries.d',
    'registries.d',
    'copy',
    '--src-tls-verify=false',
    `docker://${name}`,
    `dir:${key}`,
  ];
  return spawnSync('skopeo', args, { cwd: box.root, encoding: 'utf8' }).stderr;
}

describe.skipIf(!hasSkopeo || !hasDockerRegistry)("skopeo's policy (that of podman and CRI-O)", () => {
  test('takes what kit signed with the key, and nothing else', async ({ skip }) => {
    const { box } = await packed();
    const registry = await startDockerRegistry();
    onTestFinished(() => registry.close());
    const repository = `${registry.host}/team/tiny`;
    const env = { COSIGN_PASSWORD: '' };
    for (const key of ['signer', 'other']) {
      await box.ok(`generate-key-pair --output-key-prefix ${key}`, { env });
      const keyPath = box.path(`${key}.pub`);
      const required = { type: 'sigstoreSigned', keyPath, signedIdentity: { type: 'matchRepository' } };
      await box.write({
        [`${key}.json`]: JSON.stringify({ default: [{ type: 'reject' }], transports: { docker: { [registry.host]: [required] } } }),
      });
    }
    await box.write({ 'registries.d/a.yaml': `docker: {"${registry.host}": {use-sigstore-attachments: true}}\n` });
    await box.ok(`push tiny:v1 ${repository}:v1`);
    expect(admit(box, `${repository}:v1`, 'signer')).toContain('A signature was required, but no signature exists');
    await box.ok(`sign ${repository}:v1 --key signer.key`, { env });
    const admitted = admit(box, `${repository}:v1`, 'signer');
    skip(admitted.includes('sigstore disabled'), "Debian's skopeo is built without sigstore");
    expect(admitted).toBe('');
    expect(admit(box, `${repository}:v1`, 'other')).toContain('Source image rejected: cryptographic signature verification failed');
    // the signature names its repository, and does not hold for a copy in another one
    await box.ok(`copy ${repository}:v1 ${registry.host}/else/tiny:v1 --referrers`);
    expect(admit(box, `${registry.host}/else/tiny:v1`, 'signer')).toContain('Source image rejected');
  });
});

describe.skipIf(!hasDockerRegistry)('docker-registry, which has no referrers API', () => {
  test('pack, push, list, pull, unpack, tag, remove', async () => {
    const { box, digest } = await packed();
    const registry = await startDockerRegistry();
    onTestFinished(() => registry.close());
    const name = `${registry.host}/team/tiny`;
    await box.ok(`push tiny:v1 ${name}:v1,v2`);
    expect((await box.ok(`list ${name}`)).match(/\bv[12]\b/g)).toEqual(['v1', 'v2']);
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    expect(await box.ok(`pull ${name}:v1`, elsewhere)).toContain(`Pulled ${digest}`);
    await box.ok(`unpack ${name}:v1 -d pulled`, elsewhere);
    await expectSameFiles(box, 'pulled');
    await box.ok(`unpack ${name}:v2 -d direct`, { env: { KIT_HOME: box.path('third') } });
    await expectSameFiles(box, 'direct');
    // it cannot delete one tag of two, and says so
    expect(await box.kit(`remove --remote ${name}:v1`)).toMatchInlineSnapshot(`
      exit 1
      --- stderr
      error: 127.0.0.1:55555/team/tiny:v1: the registry cannot delete a tag alone, and sha256:1a79da52c1a9… is also tagged v2

      hint: to delete it with all its tags: \`kit remove --remote 127.0.0.1:55555/team/tiny@sha256:1a79da52c1a9…\`
    `);
    await box.ok(`remove --remote ${name}@${digest}`);
    expect((await box.kit(`pull ${name}:v2`)).status).toBe(3);
  });

  test.skipIf(!hasSkopeo)('skopeo copies from it and back to it', async () => {
    const { box, digest } = await packed();
    const registry = await startDockerRegistry();
    onTestFinished(() => registry.close());
    const name = `${registry.host}/team/tiny`;
    await box.ok(`push tiny:v1 ${name}:v1`);
    skopeo(box, 'copy', '--preserve-digests', '--src-tls-verify=false', `docker://${name}:v1`, 'oci:theirs:v1');
    skopeo(box, 'copy', '--preserve-digests', '--dest-tls-verify=false', 'oci:theirs:v1', `docker://${name}:back`);
    expect(JSON.parse(await box.ok(`inspect --remote ${name}:back`))).toHaveProperty('digest', digest);
    await box.ok(`unpack ${name}:back -d out`, { env: { KIT_HOME: box.path('elsewhere') } });
    await expectSameFiles(box, 'out');
  });
});
