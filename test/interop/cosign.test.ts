import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const hasCosign = (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
  try {
    accessSync(join(folder, 'cosign'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

const PASSWORD = { COSIGN_PASSWORD: 'interop' };
// no transparency log, no network beyond the registry: the older flags say the same as an empty signing config
const OFFLINE = ['--use-signing-config=false', '--tlog-upload=false', '-y'];
const CHECK = ['--insecure-ignore-tlog=true'];

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function cosign(box: Sandbox, ...args: string[]): Promise<Run> {
  const env = { PATH: process.env['PATH'], HOME: box.root, ...PASSWORD };
  const child = spawn('cosign', args, { cwd: box.root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => (output[stream] += text));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...output };
}

async function cosignOk(box: Sandbox, ...args: string[]): Promise<string> {
  const run = await cosign(box, ...args);
  if (run.status !== 0) throw new Error(`cosign ${args.join(' ')} ended with ${run.status}\n${run.stderr}`);
  return run.stdout;
}

interface Started {
  readonly host: string;
  close(): Promise<void>;
}

const REGISTRIES: [string, boolean, () => Promise<Started>][] = [
  ['a registry with the referrers API', true, async () => await startRegistry({ behaviour: { location: 'relative' } })],
  ["Debian's docker-registry, without", hasDockerRegistry, async (): Promise<DockerRegistry> => await startDockerRegistry()],
];

describe.skipIf(!hasCosign).each(REGISTRIES)('cosign and kit over %s', (_, isThere, start) => {
  let registry: Started;
  let count = 0;
  beforeAll(async () => {
    if (isThere) registry = await start();
  });
  afterAll(async () => {
    if (isThere) await registry.close();
  });

  /** A model in a repository of its own, a key pair of kit's and one of cosign's. */
  async function setUp(): Promise<{ box: Sandbox; name: string; pinned: string }> {
    const box = await sandbox();
    await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n', 'm/w.bin': 'data' });
    await box.ok('generate-key-pair --output-key-prefix kit', { env: PASSWORD });
    await cosignOk(box, 'generate-key-pair', '--output-key-prefix', 'cosign');
    count += 1;
    const repository = `${registry.host.replace('127.0.0.1', 'localhost')}/team/m${count}`;
    const { digest } = JSON.parse(await box.ok(`pack m -t ${repository}:v1 --push --format json`)) as { digest: string };
    return { box, name: `${repository}:v1`, pinned: `${repository}@${digest}` };
  }

  test.skipIf(!isThere)('cosign verifies what kit signs, with keys of either, in both formats', async () => {
    const { box, name } = await setUp();
    for (const key of ['kit', 'cosign']) {
      await box.ok(['sign', name, '--key', `${key}.key`, '-a', 'stage=prod'], { env: PASSWORD });
      for (const format of ['--new-bundle-format=true', '--new-bundle-format=false']) {
        await cosignOk(box, 'verify', '--key', `${key}.pub`, ...CHECK, format, '-a', 'stage=prod', name);
        expect((await cosign(box, 'verify', '--key', `${key}.pub`, ...CHECK, format, '-a', 'stage=test', name)).status).not.toBe(0);
      }
    }
    const other = key('wrong.pub');
    expect((await cosign(box, 'verify', '--key', other, ...CHECK, name)).status).not.toBe(0);
    // its own list of what is there
    const tree = await cosignOk(box, 'tree', name);
    expect(tree.match(/https:\/\/sigstore\.dev\/cosign\/sign\/v1 artifacts via OCI referrer/g)).toHaveLength(2);
  });

  test.skipIf(!isThere)('kit verifies what cosign signs, with keys of either, in both formats', async () => {
    const { box, name, pinned } = await setUp();
    for (const key of ['kit', 'cosign']) {
      await cosignOk(box, 'sign', '--key', `${key}.key`, ...OFFLINE, '-a', 'stage=prod', pinned);
      await cosignOk(box, 'sign', '--key', `${key}.key`, ...OFFLINE, '--new-bundle-format=false', '-a', 'stage=prod', pinned);
      const { signatures } = JSON.parse(await box.ok(['verify', name, '--key', `${key}.pub`, '-a', 'stage=prod', '--format', 'json'])) as {
        signatures: { kind: string; accepted: boolean }[];
      };
      expect(signatures.filter(({ accepted }) => accepted).map(({ kind }) => kind)).toEqual(['bundle', 'legacy']);
    }
    expect(await box.kit(['verify', name, '--key', key('wrong.pub')])).toMatchObject({ status: 6 });
    await box.ok(['pull', name, '--verify', '--key', 'cosign.pub']);
  });

  test.skipIf(!isThere)('each adds to what the other wrote under the older tag', async () => {
    const { box, name, pinned } = await setUp();
    await cosignOk(box, 'sign', '--key', 'cosign.key', ...OFFLINE, '--new-bundle-format=false', pinned);
    await box.ok(['sign', name, '--key', 'kit.key', '--signature-format', 'legacy'], { env: PASSWORD });
    await cosignOk(box, 'sign', '--key', 'cosign.key', ...OFFLINE, '--new-bundle-format=false', '-a', 'n=2', pinned);
    for (const key of ['kit', 'cosign']) await cosignOk(box, 'verify', '--key', `${key}.pub`, ...CHECK, name);
    const downloaded = await box.ok(['download', 'signature', name]);
    expect(downloaded.trim().split('\n')).toHaveLength(3);
    expect(downloaded.trim()).toBe((await cosignOk(box, 'download', 'signature', name)).trim());
  });

  test.skipIf(!isThere)('attestations, both ways and in both formats', async () => {
    const { box, name, pinned } = await setUp();
    const predicates = join(GOLDEN, 'cosign-predicates');
    const cases = [
      ['slsaprovenance1', 'slsa-provenance-v1.json'],
      ['custom', 'custom.json'],
      ['https://example.com/eval/v1', 'custom.json'],
    ];
    for (const [type = '', file = ''] of cases) {
      const predicate = join(predicates, file);
      await box.ok(['attest', name, '--key', 'kit.key', '--type', type, '--predicate', predicate], { env: PASSWORD });
      for (const format of ['--new-bundle-format=true', '--new-bundle-format=false']) {
        const verified = await cosignOk(box, 'verify-attestation', '--key', 'kit.pub', ...CHECK, format, '--type', type, name);
        expect(verified).toContain('"payloadType":"application/vnd.in-toto+json"');
      }
      await cosignOk(box, 'attest', '--key', 'cosign.key', ...OFFLINE, '--type', type, '--predicate', predicate, pinned);
      await box.ok(['verify-attestation', name, '--key', 'cosign.pub', '--type', type]);
      expect(await box.kit(['verify-attestation', name, '--key', key('wrong.pub'), '--type', type])).toMatchObject({ status: 6 });
    }
    // cosign takes any of them for a signature
    expect(await box.kit(['verify', name, '--key', 'cosign.pub'])).toMatchObject({ status: 6 });
  });

  test.skipIf(!isThere)('a bundle in a file', async () => {
    const { box, name } = await setUp();
    await box.ok(['sign', name, '--key', 'kit.key', '--no-upload', '--bundle', 'out.json'], { env: PASSWORD });
    const digest = (JSON.parse(await box.ok(['inspect', '--remote', name])) as { digest: string }).digest;
    const type = ['--type', 'https://sigstore.dev/cosign/sign/v1', '--digestAlg', 'sha256', '--digest', digest.replace('sha256:', '')];
    const verify = ['verify-blob-attestation', ...CHECK, '--bundle', 'out.json', ...type];
    expect(await cosign(box, ...verify, '--key', 'kit.pub')).toMatchObject({ status: 0 });
    expect((await cosign(box, ...verify, '--key', 'cosign.pub')).status).not.toBe(0);
  });

  test.skipIf(!isThere)('plain keys of other kinds', async () => {
    const { box, name } = await setUp();
    const { generateKeyPairSync } = await import('node:crypto');
    const pairs = {
      p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
      rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
      ed25519: generateKeyPairSync('ed25519'),
    };
    for (const [kind, pair] of Object.entries(pairs)) {
      await box.write({
        [`${kind}.key`]: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
        [`${kind}.pub`]: pair.publicKey.export({ type: 'spki', format: 'pem' }),
      });
      await box.ok(['sign', name, '--key', `${kind}.key`]);
      for (const format of ['--new-bundle-format=true', '--new-bundle-format=false'])
        expect(await cosign(box, 'verify', '--key', `${kind}.pub`, ...CHECK, format, name)).toMatchObject({ status: 0 });
    }
  });
});

function key(name: string): string {
  return join(GOLDEN, 'cosign-keys', name);
}
