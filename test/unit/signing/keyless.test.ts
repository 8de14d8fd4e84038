import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { preAuthEncoding } from '../../../src/signing/dsse.ts';
import { type IdentityRequirement, identityVerifier } from '../../../src/signing/identity-verifier.ts';
import { legacyMaterial, legacyProofs } from '../../../src/signing/legacy-material.ts';
import { openSigner } from '../../../src/signing/open-signer.ts';
import type { Trust } from '../../../src/signing/proofs.ts';
import type { SignedBytes } from '../../../src/signing/signer.ts';
import { loadTrustedRoot } from '../../../src/signing/trusted-root.ts';
import type { Signatory } from '../../../src/signing/verifier.ts';
import { fakeToken, type MockOptions, type SigstoreMock, startSigstoreMock } from '../../support/sigstore-mock.ts';

const DATA = preAuthEncoding('application/vnd.in-toto+json', Buffer.from('{"a":1}'));
const WHO: IdentityRequirement = { identity: 'dev@example.com', issuer: 'https://issuer.example.com' };
const HOUR = 3_600_000;

let directory: string;
let mock: SigstoreMock;
/** With a log entry; and with a timestamp as well. */
let logged: SignedBytes;
let stamped: SignedBytes;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keyless-'));
  mock = await startSigstoreMock(directory);
  logged = await signWith(mock);
  stamped = await signWith(mock, { timestampUrl: mock.url });
});
afterAll(async () => {
  await mock.close();
  await rm(directory, { recursive: true, force: true });
});

async function another(options: MockOptions): Promise<SigstoreMock> {
  const started = await startSigstoreMock(directory, options);
  onTestFinished(async () => await started.close());
  return started;
}

async function signWith(services: SigstoreMock, more: object = {}, data: Uint8Array = DATA): Promise<SignedBytes> {
  const signer = await openSigner({ ...services.services, env: { SIGSTORE_ID_TOKEN: fakeToken() }, ...more });
  return await signer.sign(data);
}

interface Check extends Partial<SignedBytes> {
  readonly data?: Uint8Array;
  readonly who?: IdentityRequirement;
  readonly services?: SigstoreMock;
  readonly trust?: Partial<Trust>;
}

async function verify({ data = DATA, who = WHO, services = mock, trust, ...signed }: Check): Promise<Signatory> {
  const root = await loadTrustedRoot({ file: services.trustedRoot, cache: directory });
  return await identityVerifier([who], { root, ...trust }).verify({ ...logged, data, ...signed });
}

function refusal(reason: string): object {
  return { code: 'SIGNATURE_INVALID', message: expect.stringContaining(reason) as string };
}

/** Material with its first log entry changed. */
function withEntry(
  signed: SignedBytes,
  change: (entry: Record<string, unknown>) => Record<string, unknown>,
): Pick<SignedBytes, 'material'> {
  const [entry] = signed.material.tlogEntries ?? [];
  return { material: { ...signed.material, tlogEntries: [change(entry as Record<string, unknown>)] } };
}

describe('accepted', () => {
  test('who, when, by which log', async () => {
    expect(await verify({})).toMatchObject({
      type: 'identity',
      ...WHO,
      claims: {},
      logs: [{ url: mock.url, index: expect.stringMatching(/^\d+$/) as string }],
      times: [{ by: 'log', time: expect.stringMatching(/^\d{4}-/) as string }],
    });
    expect(await verify(stamped)).toMatchObject({ times: [{ by: 'log' }, { by: 'timestamp-authority' }] });
  });

  test('what the authority says of the build', async () => {
    const token = fakeToken({ repository: 'team/model', ref: 'refs/heads/main', sha: 'a'.repeat(40) });
    const signed = await signWith(mock, { env: { SIGSTORE_ID_TOKEN: token } });
    expect(await verify(signed)).toMatchObject({
      claims: {
        sourceRepositoryURI: 'https://github.com/team/model',
        sourceRepositoryRef: 'refs/heads/main',
        sourceRepositoryDigest: 'a'.repeat(40),
      },
    });
  });

  test('one certificate for several signatures', async () => {
    const signer = await openSigner({ ...mock.services, env: { SIGSTORE_ID_TOKEN: fakeToken() } });
    const [one, other] = [await signer.sign(DATA), await signer.sign(Buffer.from('{}'))];
    expect(one.material.certificate).toEqual(other.material.certificate);
    await verify(one);
    await verify({ ...other, data: Buffer.from('{}') });
  });

  test('a certificate that is not valid now, with a time at which it was', async () => {
    // the mock's own authority begins now, so the other time is to come
    const other = await another({ issued: new Date(Date.now() + HOUR), logged: new Date(Date.now() + HOUR + 60_000) });
    expect(await verify({ ...(await signWith(other)), services: other })).toMatchObject({
      identity: WHO.identity,
    });
  });

  test('through the annotations of the older format', async () => {
    const payload = Buffer.from('{"critical":{}}');
    const signed = await signWith(mock, { timestampUrl: mock.url }, payload);
    const annotations = legacyProofs(signed) ?? {};
    expect(Object.keys(annotations).map((name) => name.replace('dev.sigstore.cosign/', ''))).toEqual([
      'certificate',
      'chain',
      'bundle',
      'rfc3161timestamp',
    ]);
    const signer = await verify({ ...signed, data: payload, material: legacyMaterial(annotations) });
    expect(signer).toMatchObject({ identity: WHO.identity, logs: [{ url: mock.url }] });
  });

  test('what may be missing on request only', async () => {
    const bare = await another({ hasCtLog: false });
    const signed = await signWith(bare);
    await expect(verify({ ...signed, services: bare })).rejects.toMatchObject(
      refusal('not proven to be in a certificate transparency log'),
    );
    expect(await verify({ ...signed, services: bare, trust: { ignoreSct: true } })).toMatchObject({ identity: WHO.identity });
    const { material } = stamped;
    const unlisted = { ...stamped, material: { ...material, tlogEntries: [] } };
    expect(await verify({ ...unlisted, trust: { ignoreLog: true } })).toMatchObject({ logs: [] });
  });
});

describe('refused', () => {
  test.each<[string, () => Promise<Check>, string]>([
    [
      'a changed payload',
      async () => ({ data: preAuthEncoding('application/vnd.in-toto+json', Buffer.from('{"a":2}')) }),
      'its log entry is about something else',
    ],
    [
      'a changed payload that no log lists',
      async () => ({ ...stamped, material: { ...stamped.material, tlogEntries: [] }, data: Buffer.from('x'), trust: { ignoreLog: true } }),
      'it was changed after signing',
    ],
    [
      "another key's signature",
      async () => ({ signature: sign('sha256', DATA, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) }),
      'its log entry is about something else',
    ],
    [
      'no log entry and no timestamp',
      async () => ({ material: { ...logged.material, tlogEntries: [] } }),
      'nothing proves when it was signed',
    ],
    [
      'a timestamp, but no log entry',
      async () => ({ ...stamped, material: { ...stamped.material, tlogEntries: [] } }),
      'no transparency log lists it',
    ],
    [
      'a log entry without the promise that dates it',
      async () => withEntry(logged, (entry) => ({ ...entry, inclusionPromise: undefined })),
      'nothing proves when it was signed',
    ],
    [
      'a log entry with another time',
      async () => withEntry(logged, (entry) => ({ ...entry, integratedTime: String(Math.floor(Date.now() / 1000) + 1) })),
      'its log entry is not by a log of the trusted root',
    ],
    [
      'the log entry of another signature',
      async () => ({ material: { ...logged.material, tlogEntries: (await signWith(mock)).material.tlogEntries } }),
      'its log entry is about something else',
    ],
    [
      'the same entry twice',
      async () => ({
        material: { ...logged.material, tlogEntries: [...(logged.material.tlogEntries ?? []), ...(logged.material.tlogEntries ?? [])] },
      }),
      'one proof of its time is given twice',
    ],
    [
      "another authority's certificate",
      async () => await signWith(await another({})),
      'its certificate is not by an authority of the trusted root',
    ],
    [
      'the certificate of another signature by the same authority',
      async () => {
        // valid when the other one was used
        const services = await another({ issued: new Date(Date.now() + HOUR), logged: new Date(Date.now() + HOUR + 60_000) });
        const [one, other] = [await signWith(services), await signWith(services)];
        return { ...one, services, material: { ...one.material, certificate: other.material.certificate } };
      },
      'it was changed after signing, or is not by the key of its certificate',
    ],
    [
      'a certificate that had expired when it was logged',
      async () => {
        const services = await another({ logged: new Date(Date.now() + HOUR) });
        return { ...(await signWith(services)), services };
      },
      'its certificate was not valid when it was signed',
    ],
    [
      'a certificate that had expired when it was timestamped',
      async () => {
        const services = await another({ stamped: new Date(Date.now() + HOUR) });
        const signed = await signWith(services, { timestampUrl: services.url });
        return { ...signed, services, material: { ...signed.material, tlogEntries: [] }, trust: { ignoreLog: true } };
      },
      'its certificate was not valid when it was signed',
    ],
    [
      'a certificate that is not valid now, and nothing that says when it was used',
      async () => {
        const services = await another({ issued: new Date(Date.now() + HOUR), logged: new Date(Date.now() + HOUR) });
        const signed = await signWith(services);
        return { ...signed, services, material: { ...signed.material, tlogEntries: [] }, trust: { ignoreLog: true } };
      },
      'nothing proves when it was signed',
    ],
    [
      'the timestamp of another signature',
      async () => ({ ...stamped, material: { ...stamped.material, ...timestampOf(await signWith(mock, { timestampUrl: mock.url })) } }),
      'its timestamp is not by an authority',
    ],
    ['a key', async () => ({ material: { publicKey: { hint: 'x' } } }), 'it was signed with a key'],
    [
      'a key and a certificate',
      async () => ({ material: { ...logged.material, publicKey: { hint: 'x' } } }),
      'it names both a key and a certificate',
    ],
    ['a certificate that is none', async () => ({ material: { ...logged.material, certificate: { rawBytes: 'AAAA' } } }), 'malformed'],
    ['a log entry that is none', async () => ({ material: { ...logged.material, tlogEntries: [42] } }), 'malformed'],
    [
      'a timestamp that is none',
      async () => ({ material: { ...logged.material, timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: 'AAAA' }] } } }),
      'malformed',
    ],
    [
      'another identity',
      async () => ({ who: { ...WHO, identity: 'ops@example.com' } }),
      'it is by dev@example.com (https://issuer.example.com), not by ops@example.com',
    ],
    [
      'a part of the identity',
      async () => ({ who: { ...WHO, identity: 'dev@example.co' } }),
      'not by dev@example.co (https://issuer.example.com): that matches a part of it only',
    ],
    [
      'a dot that would match anything',
      async () => ({ who: { ...WHO, identity: 'dev.example.com' } }),
      'it is by dev@example.com (https://issuer.example.com), not by dev.example.com',
    ],
    [
      'a pattern that matches a part',
      async () => ({ who: { ...WHO, identity: /dev@|example/ } }),
      'not by /dev@|example/ (https://issuer.example.com): that matches a part of it only',
    ],
    [
      'another issuer',
      async () => ({ who: { ...WHO, issuer: 'https://issuer.example.com/' } }),
      'not by dev@example.com (https://issuer.example.com/): the issuer is another one',
    ],
  ])('%s', async (_, make, reason) => {
    await expect(verify(await make())).rejects.toMatchObject(refusal(reason));
  });

  test.each([
    ['certificate', 'AAAA', 'its certificate is no PEM block'],
    ['bundle', '{"Payload":{}}', 'its log entry is malformed'],
    ['rfc3161timestamp', '[]', 'its timestamp is malformed'],
  ])('an annotation %s of the older format that holds something else', (name, value, reason) => {
    expect(() => legacyMaterial({ [`dev.sigstore.cosign/${name}`]: value })).toThrow(reason);
  });
});

function timestampOf({ material: { timestampVerificationData } }: SignedBytes): Pick<SignedBytes['material'], 'timestampVerificationData'> {
  return { timestampVerificationData };
}

describe('the trusted root', () => {
  test('by TUF, and offline once it was fetched', async () => {
    const cache = await mkdtemp(join(directory, 'tuf-'));
    const source = { tufMirror: mock.url, cache };
    await expect(loadTrustedRoot({ ...source, offline: true })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('--trusted-root') as string,
    });
    await expect(loadTrustedRoot(source)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('--tuf-root') as string,
    });
    const root = await loadTrustedRoot({ ...source, tufRoot: mock.tufRoot });
    expect(root.tlogs.map(({ baseUrl }) => baseUrl)).toEqual([mock.url]);
    expect(await loadTrustedRoot({ ...source, offline: true })).toEqual(root);
    // another root of the same repository is not believed because an older one was
    const other = await another({});
    await expect(loadTrustedRoot({ ...source, tufRoot: other.tufRoot })).rejects.toMatchObject({
      code: 'NETWORK',
      hint: expect.stringContaining('--offline') as string,
    });
    expect(await loadTrustedRoot({ ...source, offline: true })).toEqual(root);
  });

  test('one that was never fetched is not advised', async () => {
    const cache = await mkdtemp(join(directory, 'tuf-'));
    const source = { tufMirror: 'http://127.0.0.1:1', tufRoot: mock.tufRoot, cache };
    const error: unknown = await loadTrustedRoot(source).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'NETWORK', hint: 'try again, or give `--trusted-root FILE`' });
    await expect(loadTrustedRoot({ ...source, offline: true })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test.each([
    ['no JSON', '{', 'is no trusted root'],
    ['another document', '{"mediaType":"application/json"}', 'its mediaType is'],
    [
      'a key that is none',
      '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{"baseUrl":"x","publicKey":{"rawBytes":"AAAA"},"logId":{"keyId":"AAAA"}}]}',
      'is no trusted root',
    ],
  ])('%s', async (_, text, message) => {
    const file = join(directory, 'bad.json');
    await writeFile(file, text);
    await expect(loadTrustedRoot({ file, cache: directory })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message) as string,
    });
  });

  test('a file that is not there', async () => {
    await expect(loadTrustedRoot({ file: join(directory, 'missing.json'), cache: directory })).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
    });
    expect(await readFile(mock.trustedRoot, 'utf8')).toContain('trustedroot');
  });
});
