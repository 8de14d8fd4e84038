import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';
import { referrersTag } from '../../src/oci/referrers-tag.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { copy } from '../../src/targets/copy.ts';
import { openLayout } from '../../src/targets/layout.ts';
import { remoteRepository } from '../../src/targets/remote.ts';
import type { Target } from '../../src/targets/types.ts';
import { hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { GOLDEN } from '../support/kit.ts';
import { manifestContent, REFERRER_TYPE, referrerManifest } from '../support/referrer-manifest.ts';
import { hasZot, startZot } from '../support/zot.ts';

const run = promisify(execFile);
const hasOras = spawnSync('oras', ['version']).status === 0;
const hasCosign = spawnSync('cosign', ['version']).status === 0;
const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const PROCESS = fileURLToPath(new URL('../support/referrers-process.ts', import.meta.url));

async function pushSubject(target: Target): Promise<Descriptor> {
  const config = Buffer.from('{}');
  const { bytes, blob } = manifestContent({ artifactType: 'application/x.model' });
  await target.push(descriptorOf(MEDIA_TYPE.emptyJson, config), bytesSource(config));
  await target.push(blob, bytesSource(bytes));
  await target.tag(blob, 'v1');
  return blob;
}

async function pushReferrer(target: Target, subject: Descriptor, name: string): Promise<Descriptor> {
  const { bytes, blob } = referrerManifest(subject, name);
  await target.push(blob, bytesSource(bytes));
  return blob;
}

const listed = async (target: Target, subject: Descriptor) =>
  (await Array.fromAsync(target.can.referrers?.(subject) ?? [])).map(({ digest }) => digest);

interface Discovered {
  readonly digest: string;
  readonly artifactType?: string;
  readonly annotations?: Record<string, string>;
}

async function orasDiscover(...where: string[]): Promise<Discovered[]> {
  const { stdout } = await run('oras', ['discover', '--format', 'json', ...where]);
  const found = JSON.parse(stdout) as { referrers?: Discovered[]; manifests?: Discovered[] };
  return found.referrers ?? found.manifests ?? [];
}

interface Place {
  readonly host: string;
  close(): Promise<void>;
}

describe.each([
  { name: 'docker-registry, without the referrers API', has: hasDockerRegistry, start: startDockerRegistry, hasApi: false },
  { name: 'zot, with it', has: hasZot, start: startZot, hasApi: true },
])('$name', ({ has, start, hasApi }) => {
  describe.skipIf(!has)('referrers', () => {
    let place: Place;
    let client: RegistryClient;
    beforeAll(async () => {
      place = await start();
      client = createRegistryClient({});
    }, 60_000);
    afterAll(async () => {
      await client.close();
      await place.close();
    });

    test('are listed, also by type, and gone when they are deleted', async () => {
      const target = remoteRepository(client, place.host, 'some/model');
      const subject = await pushSubject(target);
      const [first, second] = [await pushReferrer(target, subject, 'first'), await pushReferrer(target, subject, 'second')];
      expect(await Array.fromAsync(target.can.referrers?.(subject) ?? [])).toEqual(
        expect.arrayContaining([
          { ...first, artifactType: REFERRER_TYPE, annotations: { name: 'first' } },
          { ...second, artifactType: REFERRER_TYPE, annotations: { name: 'second' } },
        ]),
      );
      expect(await Array.fromAsync(target.can.referrers?.(subject, { artifactType: 'application/other' }) ?? [])).toEqual([]);
      expect((await Array.fromAsync(target.can.tags?.() ?? [])).includes(referrersTag(subject.digest))).toBe(!hasApi);
      await target.can.remove?.(first);
      expect(await listed(target, subject)).toEqual([second.digest]);
      await target.can.remove?.(second);
      expect(await listed(target, subject)).toEqual([]);
      expect(await Array.fromAsync(target.can.tags?.() ?? [])).toEqual(['v1']);
    });

    test('that another tool has deleted do not stand in the way', async () => {
      const target = remoteRepository(client, place.host, 'other/model');
      const subject = await pushSubject(target);
      const gone = await pushReferrer(target, subject, 'gone');
      expect((await fetch(`http://${place.host}/v2/other/model/manifests/${gone.digest}`, { method: 'DELETE' })).status).toBe(202);
      const next = await pushReferrer(target, subject, 'next');
      expect(await listed(target, subject)).toEqual([next.digest]);
    });

    test('of several processes and clients at once are all listed', async () => {
      const repository = 'busy/model';
      const target = remoteRepository(client, place.host, repository);
      const subject = await pushSubject(target);
      const processes = ['a', 'b', 'c', 'd'].map(async (name) => {
        const { stdout } = await run(process.execPath, [PROCESS, place.host, repository, name, '3']);
        return stdout.trim().split('\n');
      });
      const others = ['e', 'f'].map(async (name) => {
        const other = createRegistryClient({});
        onTestFinished(async () => await other.close());
        return [(await pushReferrer(remoteRepository(other, place.host, repository), subject, name)).digest];
      });
      const pushed = (await Promise.all([...processes, ...others])).flat();
      expect(new Set(pushed).size).toBe(14);
      expect((await listed(target, subject)).toSorted()).toEqual(pushed.toSorted());
    });

    test.skipIf(!hasOras)('are found by oras, and those of oras by us', async () => {
      const target = remoteRepository(client, place.host, 'oras/model');
      const subject = await pushSubject(target);
      const ours = await pushReferrer(target, subject, 'ours');
      const name = `${place.host}/oras/model:v1`;
      expect(await orasDiscover('--plain-http', name)).toMatchObject([
        { digest: ours.digest, artifactType: REFERRER_TYPE, annotations: { name: 'ours' } },
      ]);
      await run('oras', ['attach', '--plain-http', '--artifact-type', 'application/x.oras', '--annotation', 'name=theirs', name]);
      const found = await Array.fromAsync(target.can.referrers?.(subject) ?? []);
      expect(new Set(found.map(({ artifactType }) => artifactType))).toEqual(new Set(['application/x.oras', REFERRER_TYPE]));
      expect(await orasDiscover('--plain-http', '--artifact-type', 'application/x.oras', name)).toHaveLength(1);
      // theirs is kept when ours goes
      await target.can.remove?.(ours);
      expect((await orasDiscover('--plain-http', name)).map(({ artifactType }) => artifactType)).toEqual(['application/x.oras']);
    });

    test.skipIf(!hasCosign)('that are sigstore bundles are verified by cosign, and described as Kyverno expects', async () => {
      const layout = await openLayout(join(GOLDEN, 'cosign-bundle'));
      const target = remoteRepository(client, place.host, 'signed/model');
      const subject = await copy(layout, 'v1', target, ['v1']);
      for await (const referrer of layout.can.referrers?.(subject) ?? []) await copy(layout, referrer.digest, target, []);
      const flags = ['--key', join(GOLDEN, 'cosign-keys/cosign.pub'), '--insecure-ignore-tlog=true'];
      const { stdout } = await run('cosign', ['verify', ...flags, `${place.host}/signed/model@${subject.digest}`]);
      expect(stdout).toContain('https://sigstore.dev/cosign/sign/v1');
      await run('cosign', ['verify-attestation', ...flags, '--type', 'slsaprovenance1', `${place.host}/signed/model@${subject.digest}`]);
      const found = await Array.fromAsync(target.can.referrers?.(subject, { artifactType: BUNDLE_TYPE }) ?? []);
      expect(found.map(({ annotations }) => annotations?.['dev.sigstore.bundle.predicateType'])).toContain(
        'https://sigstore.dev/cosign/sign/v1',
      );
    });

    test.skipIf(!hasCosign)('are shown by cosign tree', async () => {
      const target = remoteRepository(client, place.host, 'cosign/model');
      const subject = await pushSubject(target);
      const ours = await pushReferrer(target, subject, 'ours');
      const { stdout } = await run('cosign', ['tree', `${place.host}/cosign/model:v1`], {
        env: { ...process.env, COSIGN_EXPERIMENTAL: '1' },
      });
      expect(stdout).toContain(ours.digest);
    });
  });
});

describe.skipIf(!hasOras)('an image layout', () => {
  test('shows oras what refers to an artifact in it, and us what oras has attached', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'referrers-'));
    onTestFinished(async () => await rm(directory, { recursive: true, force: true }));
    const target = await openLayout(join(directory, 'layout'), { create: true });
    const subject = await pushSubject(target);
    const ours = await pushReferrer(target, subject, 'ours');
    const name = `${join(directory, 'layout')}:v1`;
    expect(await orasDiscover('--oci-layout', name)).toMatchObject([{ digest: ours.digest, artifactType: REFERRER_TYPE }]);
    await run('oras', ['attach', '--oci-layout', '--artifact-type', 'application/x.oras', '--annotation', 'name=theirs', name]);
    const reread = await openLayout(join(directory, 'layout'));
    const types = (await Array.fromAsync(reread.can.referrers?.(subject) ?? [])).map(({ artifactType }) => artifactType);
    expect(new Set(types)).toEqual(new Set(['application/x.oras', REFERRER_TYPE]));
    expect(await Array.fromAsync(reread.can.referrers?.(subject, { artifactType: 'application/x.oras' }) ?? [])).toHaveLength(1);
  });
});
