import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const hasCosign = spawnSync('cosign', ['version']).status === 0;
const KEYS = join(GOLDEN, 'cosign-keys');
const env = { COSIGN_PASSWORD: 'golden-test-only' };

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

// the registry runs in this process: it must go on while cosign does
async function cosign(box: Sandbox, ...args: string[]): Promise<Run> {
  const child = spawn('cosign', args, {
    cwd: box.root,
    env: { PATH: process.env['PATH'], HOME: box.root },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => (output[stream] += text));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...output };
}

describe.skipIf(!hasCosign)('cosign', () => {
  test.each([
    ['bundle', '--new-bundle-format=true'],
    ['legacy', '--new-bundle-format=false'],
  ])('accepts the provenance of a pack: %s', { timeout: 60_000 }, async (format, flag) => {
    const box = await sandbox();
    const registry = await startRegistry({ behaviour: { location: 'relative' } });
    onTestFinished(async () => {
      await registry.close();
    });
    await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: w.bin}\n', 'm/w.bin': 'weights' });
    const name = `${registry.host}/team/m:v1`;
    const key = ['--key', join(KEYS, 'cosign.key')];
    await box.ok(['pack', 'm', '-t', name, '--push', '--provenance', '--sign', '--signature-format', format, ...key], { env });
    const verify = async (pub: string): Promise<Run> =>
      await cosign(box, 'verify-attestation', '--type', 'slsaprovenance1', '--key', pub, '--insecure-ignore-tlog=true', flag, name);
    const run = await verify(join(KEYS, 'cosign.pub'));
    expect(run).toMatchObject({ status: 0 });
    const { payload } = JSON.parse(run.stdout) as { payload: string };
    expect(JSON.parse(Buffer.from(payload, 'base64').toString())).toMatchObject({
      predicateType: 'https://slsa.dev/provenance/v1',
      predicate: { buildDefinition: { buildType: 'https://ocikit.dev/build/pack/v1' } },
    });
    await box.ok(['generate-key-pair', '--output-key-prefix', 'other'], { env });
    expect((await verify(box.path('other.pub'))).status).not.toBe(0);
  });
});
