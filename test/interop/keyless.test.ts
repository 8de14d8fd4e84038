import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { cosign, cosignOk, hasCosign, PASSWORD, publish, type Published, REGISTRIES, type StartedRegistry } from '../support/cosign.ts';
import { type KitRun, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { fakeToken, startSigstoreMock } from '../support/sigstore-mock.ts';
import { hasSigstoreServers, type SigstoreServers, startSigstoreServers } from '../support/sigstore-servers.ts';

const WHO = 'dev@example.com';

describe.skipIf(!hasSigstoreServers)('Fulcio, Rekor and a timestamp authority as they are run, and cosign', () => {
  let directory: string;
  let servers: SigstoreServers;
  let registries: readonly (StartedRegistry | undefined)[];
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'keyless-'));
    servers = await startSigstoreServers(directory);
    registries = await Promise.all(REGISTRIES.map(async ({ isThere, start }) => (isThere ? await start() : undefined)));
  }, 120_000);
  afterAll(async () => {
    await servers.close();
    await Promise.all(registries.map(async (registry) => await registry?.close()));
    await rm(directory, { recursive: true, force: true });
  });

  interface Setup extends Published {
    readonly trust: readonly string[];
    readonly env: { readonly SIGSTORE_ID_TOKEN: string };
  }

  /** A model in the registry of this position. */
  async function setUp(index = 0): Promise<Setup> {
    const registry = registries[index];
    if (registry === undefined) throw new Error('no such registry');
    const published = await publish(registry);
    const token = servers.provider.token();
    await published.box.write({ token });
    const trust = ['--certificate-identity', WHO, '--certificate-oidc-issuer', servers.provider.issuer, '--insecure-ignore-sct'];
    return { ...published, trust: [...trust, '--trusted-root', servers.trustedRoot], env: { SIGSTORE_ID_TOKEN: token } };
  }

  test.for(REGISTRIES.map(({ name, isThere }, index) => ({ name, isThere, index })))(
    'cosign verifies what kit signs, and the reverse: $name',
    async ({ isThere, index }, { skip }) => {
      skip(!isThere);
      const { box, name, trust, env } = await setUp(index);
      const signed = await box.kit(['sign', name, '--signing-config', servers.signingConfig, '-a', 'stage=prod'], { env });
      expect(signed).toMatchObject({ status: 0, stderr: expect.stringContaining('only the sigstore bundle is written') as string });
      await cosignOk(box, 'verify', ...trust, '-a', 'stage=prod', name);
      await box.ok(['verify', name, ...trust, '-a', 'stage=prod']);

      const other = await setUp(index);
      await cosignOk(
        box,
        'sign',
        '-y',
        '--identity-token',
        servers.provider.token(),
        '--signing-config',
        servers.signingConfig,
        '--trusted-root',
        servers.trustedRoot,
        other.pinned,
      );
      const { signatures } = JSON.parse(await box.ok(['verify', '--remote', other.name, ...trust, '--format', 'json'])) as {
        signatures: unknown[];
      };
      expect(signatures).toMatchObject([
        {
          kind: 'bundle',
          accepted: true,
          signer: {
            type: 'identity',
            identity: WHO,
            issuer: expect.stringMatching(/^http:\/\/localhost:\d+$/) as string,
            logs: [{ url: 'http://rekor.local' }],
            times: [{ by: 'timestamp-authority' }],
          },
        },
      ]);
    },
  );

  test('attestations, both ways', async () => {
    const { box, name, pinned, trust, env } = await setUp();
    await box.write({ 'p.json': '{"score":1}' });
    const type = ['--type', 'https://example.com/eval/v1'];
    await box.ok(['attest', name, ...type, '--predicate', 'p.json', '--signing-config', servers.signingConfig], { env });
    await cosignOk(box, 'verify-attestation', ...trust, ...type, name);
    await box.ok(['verify-attestation', name, ...trust, ...type]);
    const config = ['--signing-config', servers.signingConfig, '--trusted-root', servers.trustedRoot];
    await cosignOk(box, 'attest', '-y', '--identity-token', servers.provider.token(), ...config, ...type, '--predicate', 'p.json', pinned);
    const { attestations } = JSON.parse(await box.ok(['verify-attestation', name, ...trust, ...type, '--format', 'json'])) as {
      attestations: { accepted: boolean }[];
    };
    expect(attestations.map(({ accepted }) => accepted)).toEqual([true, true]);
    // an attestation is no signature
    expect(await box.kit(['verify', name, ...trust])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('it is an attestation') as string,
    });
  });

  test('a key with a log and a time, both ways', async () => {
    const { box, name } = await setUp();
    const env = PASSWORD;
    await box.ok('generate-key-pair', { env });
    await box.ok(
      [
        'sign',
        name,
        '--key',
        'cosign.key',
        '--rekor-url',
        servers.rekorUrl,
        '--rekor-version',
        '2',
        '--timestamp-server-url',
        servers.timestampUrl,
      ],
      { env },
    );
    await cosignOk(box, 'verify', '--key', 'cosign.pub', '--trusted-root', servers.trustedRoot, name);
    expect(await box.ok(['verify', name, '--key', 'cosign.pub', '--trusted-root', servers.trustedRoot])).toMatch(
      /key cosign\.pub, \d{4}-.*, http:\/\/rekor\.local entry \d+\n$/,
    );
    const config = ['--signing-config', servers.signingConfig, '--trusted-root', servers.trustedRoot];
    const other = await setUp();
    await cosignOk(box, 'sign', '-y', '--key', 'cosign.key', ...config, other.pinned);
    await box.ok(['verify', '--remote', other.name, '--key', 'cosign.pub', '--trusted-root', servers.trustedRoot]);
    // without a log it is not enough once logs are asked for
    const third = await setUp();
    await box.ok(['sign', third.name, '--key', 'cosign.key'], { env });
    expect(await box.kit(['verify', '--remote', third.name, '--key', 'cosign.pub', '--trusted-root', servers.trustedRoot])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('no transparency log lists it') as string,
    });
  });

  test('the token in a file, from a device code, by a browser', async () => {
    const { box, name, trust } = await setUp();
    const services = ['--signing-config', servers.signingConfig];
    await box.ok(['sign', name, ...services, '--identity-token', 'token', '--signature-format', 'bundle']);
    servers.provider.pending = 2;
    const device = await box.kit(['sign', name, ...services, '--oidc-flow', 'device', '--signature-format', 'bundle']);
    expect(device).toMatchObject({ status: 0, stderr: expect.stringContaining('enter the code ABCD-EFGH') as string });
    // the page sends whoever opens it straight back
    await box.write({ 'bin/xdg-open': '#!/bin/sh\ncurl -sL "$1" > "$HOME/page"\n' });
    const env = { PATH: `${box.path('bin')}:${process.env['PATH']}` };
    await box.ok(['sign', name, ...services, '--oidc-flow', 'browser', '--signature-format', 'bundle'], { env });
    expect(await readFile(box.path('page'), 'utf8')).toContain('You are logged in');
    const { signatures } = JSON.parse(await box.ok(['verify', name, ...trust, '--format', 'json'])) as {
      signatures: { accepted: boolean }[];
    };
    expect(signatures.map(({ accepted }) => accepted)).toEqual([true, true, true]);
  });

  test('tokens that the authority refuses are in no output', async () => {
    const { box, name } = await setUp();
    const token = servers.provider.token({ aud: 'elsewhere' });
    const run = await box.kit(['sign', name, '--signing-config', servers.signingConfig, '-vv'], { env: { SIGSTORE_ID_TOKEN: token } });
    expect(run).toMatchObject({ status: 5, stderr: expect.stringContaining('the certificate authority at http://localhost') as string });
    expect(run.stderr).not.toContain(token.slice(0, 40));
    await writeFile(box.path('bad'), 'eyJhbGciOi.not-a-token.at-all');
    const bad = await box.kit(['sign', name, '--signing-config', servers.signingConfig, '--identity-token', 'bad', '-vv']);
    expect(bad).toMatchObject({ status: 4, stderr: expect.stringContaining('bad holds no identity token') as string });
    expect(bad.stderr).not.toContain('eyJhbGciOi');
  });

  test('another identity, a part of one, another issuer', async () => {
    const { box, name, env } = await setUp();
    await box.ok(['sign', name, '--signing-config', servers.signingConfig, '--signature-format', 'bundle'], { env });
    const { issuer } = servers.provider;
    const check = async (...flags: string[]): Promise<KitRun> =>
      await box.kit(['verify', name, '--trusted-root', servers.trustedRoot, '--insecure-ignore-sct', ...flags]);
    const refused = { status: 6, stderr: expect.stringContaining(`it is by ${WHO} (`) as string };
    expect(await check('--certificate-identity', 'dev@example.co', '--certificate-oidc-issuer', issuer)).toMatchObject(refused);
    expect(await check('--certificate-identity', 'dev.example.com', '--certificate-oidc-issuer', issuer)).toMatchObject(refused);
    expect(await check('--certificate-identity', WHO, '--certificate-oidc-issuer', 'https://accounts.example.com')).toMatchObject(refused);
    expect(await check('--certificate-identity-regexp', 'dev@', '--certificate-oidc-issuer', issuer)).toMatchObject(refused);
    expect(
      await check('--certificate-identity-regexp', '[a-z]+@example\\.com', '--certificate-oidc-issuer-regexp', 'http://localhost:.*'),
    ).toMatchObject({ status: 0 });
    expect(
      await box.kit([
        'verify',
        name,
        '--trusted-root',
        servers.trustedRoot,
        '--certificate-identity',
        WHO,
        '--certificate-oidc-issuer',
        issuer,
      ]),
    ).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('not proven to be in a certificate transparency log') as string,
    });
  });
});

describe.skipIf(!hasCosign)("Rekor's first API and certificate transparency, and cosign", () => {
  test('cosign verifies both forms', async () => {
    const box = await sandbox();
    const [sigstore, registry] = await Promise.all([startSigstoreMock(box.root), startRegistry({ behaviour: { location: 'relative' } })]);
    onTestFinished(async () => {
      await Promise.all([sigstore.close(), registry.close()]);
    });
    await box.write({
      'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n',
      'm/w.bin': 'data',
      'p.json': '{"a":1}',
    });
    const name = `${registry.host.replace('127.0.0.1', 'localhost')}/team/model:v1`;
    const services = ['--fulcio-url', sigstore.url, '--rekor-url', sigstore.url];
    const env = { SIGSTORE_ID_TOKEN: fakeToken() };
    await box.ok(['pack', 'm', '-t', name, '--push', '--sign', ...services], { env });
    const type = ['--type', 'https://example.com/t'];
    await box.ok(['attest', name, ...services, ...type, '--predicate', 'p.json'], { env });
    const trust = ['--trusted-root', sigstore.trustedRoot, '--certificate-oidc-issuer', 'https://issuer.example.com'];
    for (const format of ['--new-bundle-format=true', '--new-bundle-format=false']) {
      await cosignOk(box, 'verify', ...trust, format, '--certificate-identity', 'dev@example.com', name);
      await cosignOk(box, 'verify-attestation', ...trust, format, '--certificate-identity', 'dev@example.com', ...type, name);
      expect((await cosign(box, ['verify', ...trust, format, '--certificate-identity', 'ops@example.com', name])).status).not.toBe(0);
    }
  });
});
