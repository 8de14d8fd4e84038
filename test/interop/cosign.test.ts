import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { cosign, cosignOk, hasCosign, PASSWORD, publish, type Published, REGISTRIES, type StartedRegistry } from '../support/cosign.ts';
import { copyGoldenInput, GOLDEN, sandbox } from '../support/kit.ts';
import { serveStore } from '../support/kit-serve.ts';

// no transparency log, no network beyond the registry: the older flags say the same as an empty signing config
const OFFLINE = ['--use-signing-config=false', '--tlog-upload=false', '-y'];
const CHECK = ['--insecure-ignore-tlog=true'];
const OLDER = '--new-bundle-format=false';
const FORMATS = ['--new-bundle-format=true', OLDER];

describe.skipIf(!hasCosign).each(REGISTRIES)('cosign and kit over $name', ({ isThere, hasReferrers, start }) => {
  let registry: StartedRegistry;
  beforeAll(async () => {
    if (isThere) registry = await start();
  });
  afterAll(async () => {
    if (isThere) await registry.close();
  });

  /** A model, a key pair of kit's and one of cosign's. */
  async function setUp(): Promise<Published> {
    const published = await publish(registry);
    await published.box.ok('generate-key-pair --output-key-prefix kit', { env: PASSWORD });
    await cosignOk(published.box, 'generate-key-pair', '--output-key-prefix', 'cosign');
    return published;
  }

  test.skipIf(!isThere)('cosign verifies what kit signs, with keys of either, in both formats', async () => {
    const { box, name } = await setUp();
    for (const key of ['kit', 'cosign']) {
      await box.ok(['sign', name, '--key', `${key}.key`, '-a', 'stage=prod'], { env: PASSWORD });
      for (const format of FORMATS) {
        await cosignOk(box, 'verify', '--key', `${key}.pub`, ...CHECK, format, '-a', 'stage=prod', name);
        expect((await cosign(box, ['verify', '--key', `${key}.pub`, ...CHECK, format, '-a', 'stage=test', name])).status).not.toBe(0);
      }
    }
    const other = key('wrong.pub');
    expect((await cosign(box, ['verify', '--key', other, ...CHECK, name])).status).not.toBe(0);
    // its own list of what is there
    const tree = await cosignOk(box, 'tree', name);
    expect(tree.match(/https:\/\/sigstore\.dev\/cosign\/sign\/v1 artifacts via OCI referrer/g)).toHaveLength(2);
  });

  test.skipIf(!isThere)('kit verifies what cosign signs, with keys of either, in both formats', async () => {
    const { box, name, pinned } = await setUp();
    for (const key of ['kit', 'cosign']) {
      await cosignOk(box, 'sign', '--key', `${key}.key`, ...OFFLINE, '-a', 'stage=prod', pinned);
      await cosignOk(box, 'sign', '--key', `${key}.key`, ...OFFLINE, OLDER, '-a', 'stage=prod', pinned);
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
    await cosignOk(box, 'sign', '--key', 'cosign.key', ...OFFLINE, OLDER, pinned);
    await box.ok(['sign', name, '--key', 'kit.key', '--signature-format', 'legacy'], { env: PASSWORD });
    await cosignOk(box, 'sign', '--key', 'cosign.key', ...OFFLINE, OLDER, '-a', 'n=2', pinned);
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
      for (const format of FORMATS) {
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

  test.skipIf(!isThere)('a foreign bundle hides the older signature from cosign, not from kit', async () => {
    const { box, name, pinned } = await setUp();
    await cosignOk(box, 'sign', '--key', 'cosign.key', ...OFFLINE, OLDER, pinned);
    await cosignOk(box, 'verify', '--key', 'cosign.pub', ...CHECK, name);
    await box.ok(['sign', name, '--key', 'kit.key', '--signature-format', 'bundle'], { env: PASSWORD });
    expect((await cosign(box, ['verify', '--key', 'cosign.pub', ...CHECK, name])).status).not.toBe(0);
    expect(await box.kit(['verify', name, '--key', 'cosign.pub'])).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('is not by the key cosign.pub (it names the key ') as string,
    });
  });

  test.skipIf(!isThere)('what `cosign copy` leaves under the fallback tag hides nothing unsaid', async () => {
    const { box, name } = await setUp();
    await box.ok(['sign', name, '--key', 'kit.key'], { env: PASSWORD });
    const copied = name.replace(/:v1$/, '-copy:v1');
    await cosignOk(box, 'copy', name, copied);
    const run = await box.kit(['verify', '--remote', copied, '--key', 'kit.pub']);
    expect(run).toMatchObject({ status: 0, stdout: expect.stringContaining('cosign signature sha256:') as string });
    expect(run.stderr.includes('the tag that lists what refers to sha256:')).toBe(!hasReferrers);
  });

  test.skipIf(!isThere)('a bundle in a file', async () => {
    const { box, name } = await setUp();
    await box.ok(['sign', name, '--key', 'kit.key', '--no-upload', '--bundle', 'out.json'], { env: PASSWORD });
    const digest = (JSON.parse(await box.ok(['inspect', '--remote', name])) as { digest: string }).digest;
    const type = ['--type', 'https://sigstore.dev/cosign/sign/v1', '--digestAlg', 'sha256', '--digest', digest.replace('sha256:', '')];
    const verify = ['verify-blob-attestation', ...CHECK, '--bundle', 'out.json', ...type];
    expect(await cosign(box, [...verify, '--key', 'kit.pub'])).toMatchObject({ status: 0 });
    expect((await cosign(box, [...verify, '--key', 'cosign.pub'])).status).not.toBe(0);
  });

  test.skipIf(!isThere)('plain keys of other kinds', async () => {
    const { box, name } = await setUp();
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
      for (const format of FORMATS)
        expect(await cosign(box, ['verify', '--key', `${kind}.pub`, ...CHECK, format, name])).toMatchObject({ status: 0 });
    }
  });
});

describe.skipIf(!hasCosign)('formats', () => {
  test('cosign verifies what kit signs, and the reverse, whatever the format; an index and its images too', async () => {
    const box = await sandbox();
    const registry = await serveStore();
    onTestFinished(() => registry.close());
    await copyGoldenInput(box.path('src'));
    await box.ok('pack src -t tiny:v1');
    for (const pair of ['kit', 'cosign']) await box.ok(`generate-key-pair --output-key-prefix ${pair}`, { env: PASSWORD });
    const repository = `${registry.host.replace('127.0.0.1', 'localhost')}/team/m`;
    const formats = ['modelkit', 'modelpack', 'modelpack --layer-format tar', 'docker-model', 'omlmd', 'modelcar --with-modelpack'];
    for (const [index, format] of formats.entries()) {
      const name = `${repository}${index}:v1`;
      await box.ok(`convert tiny:v1 ${name} --to ${format}`);
      await box.ok(`sign ${name} --key kit.key --recursive`, { env: PASSWORD });
      expect(await cosign(box, ['verify', '--key', 'kit.pub', ...CHECK, name]), format).toMatchObject({ status: 0 });
      const { digest } = JSON.parse(await box.ok(['inspect', '--remote', name])) as { digest: string };
      const pinned = `${repository}${index}@${digest}`;
      await cosignOk(box, 'sign', '--key', 'cosign.key', ...OFFLINE, pinned);
      await box.ok(`verify --remote ${pinned} --key cosign.pub`);
    }
  });
});

describe.skipIf(!hasCosign)('encrypted key files', () => {
  test.each([['interop'], [''], ['pass "word" ü\u{1F511}']])('are read by either, with the password `%s`', async (password) => {
    const box = await sandbox();
    const env = { COSIGN_PASSWORD: password };
    await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n', 'm/w.bin': 'data' });
    await box.ok('pack m -t oci:lay:v1');
    await box.ok('generate-key-pair --output-key-prefix kit', { env });
    expect((await cosign(box, ['public-key', '--key', 'kit.key'], env)).stdout).toBe(await readFile(box.path('kit.pub'), 'utf8'));
    expect(await cosign(box, ['generate-key-pair', '--output-key-prefix', 'cosign'], env)).toMatchObject({ status: 0 });
    await box.ok('sign oci:lay:v1 --key cosign.key', { env });
    await box.ok('verify oci:lay:v1 --key cosign.pub');
    const other = { COSIGN_PASSWORD: 'another' };
    expect((await cosign(box, ['public-key', '--key', 'kit.key'], other)).status).not.toBe(0);
    expect(await box.kit('sign oci:lay:v1 --key cosign.key', { env: other })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('cosign.key') as string,
    });
  });
});

function key(name: string): string {
  return join(GOLDEN, 'cosign-keys', name);
}
