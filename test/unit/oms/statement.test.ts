import { Ajv2020 } from 'ajv/dist/2020.js';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { claimsModel, openModel, sealModel } from '../../../src/signing/oms-bundle.ts';
import { compareModel, isIgnored, omsStatement, parseSignedModel, withAlwaysIgnored } from '../../../src/signing/oms-statement.ts';
import { keyVerifier } from '../../../src/signing/key-verifier.ts';
import { openKeySigner } from '../../../src/signing/private-key.ts';
import { readPublicKey } from '../../../src/signing/public-key.ts';
import type { Verifier } from '../../../src/signing/verifier.ts';
import { GOLDEN } from '../../support/kit.ts';

const FIXTURES = join(import.meta.dirname, '../../../fixtures/oms');
const hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const FILES = new Map([
  ['z', hex('z')],
  ['a/b', hex('b')],
  ['a-b', hex('c')],
  ['\u{1F600}', hex('d')],
  ['\uFFFD', hex('e')],
]);
const IGNORED = withAlwaysIgnored(['model.sig', 'Kitfile']);

function hint(bundle: Buffer): unknown {
  return (JSON.parse(bundle.toString()) as { verificationMaterial: { publicKey: { hint: string } } }).verificationMaterial.publicKey.hint;
}

async function goldenKey(name: string): Promise<Verifier> {
  return keyVerifier(await readPublicKey(join(GOLDEN, 'oms', name)));
}

function schema(name: string): object {
  return JSON.parse(readFileSync(join(FIXTURES, `${name}.schema.json`), 'utf8')) as object;
}

describe('what is written', () => {
  test('code point order, root digest over the digests, and back', () => {
    const text = omsStatement('m', FILES, IGNORED);
    const { subject, predicate } = JSON.parse(text) as {
      subject: { digest: { sha256: string } }[];
      predicate: { resources: { name: string; digest: string }[] };
    };
    expect(predicate.resources.map(({ name }) => name)).toEqual(['a-b', 'a/b', 'z', '\uFFFD', '\u{1F600}']);
    const root = createHash('sha256').update(Buffer.from(predicate.resources.map(({ digest }) => digest).join(''), 'hex'));
    expect(subject[0]?.digest.sha256).toBe(root.digest('hex'));
    const parsed = parseSignedModel(Buffer.from(text));
    expect(new Map(parsed.files)).toEqual(FILES);
    expect(parsed).toMatchObject({ allowSymlinks: false, ignored: IGNORED });
  });

  test('valid by the schemas of the specification', async () => {
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema(['envelope', 'statement', 'predicate'].map(schema));
    const signer = await openKeySigner(join(GOLDEN, 'oms/oms-test.key.pem'), { ownHash: true });
    const bundle = JSON.parse((await sealModel({ name: 'm', files: FILES, ignored: IGNORED }, signer)).toString()) as {
      dsseEnvelope: { payload: string };
    };
    const validate = ajv.compile(schema('bundle'));
    validate(bundle);
    expect(validate.errors ?? []).toEqual([]);
    const statement: unknown = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString());
    const validateStatement = ajv.getSchema('https://model_signing/statement/v1.0/schema');
    expect([validateStatement?.(statement), validateStatement?.errors]).toEqual([true, null]);
    expect(validate({ ...bundle, dsseEnvelope: {} })).toBe(false);
  });

  test('the hint is the hash of the PEM text, as model_signing has it', async () => {
    const signer = await openKeySigner(join(GOLDEN, 'oms/oms-test.key.pem'), { ownHash: true });
    const bundle = await sealModel({ name: 'm', files: FILES, ignored: IGNORED }, signer);
    const golden = readFileSync(join(GOLDEN, 'oms/model.sig'));
    expect(hint(bundle)).toBe(hint(golden));
  });
});

test('a key that readers do not know is refused', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const env = { KEY: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  const signer = await openKeySigner('env://KEY', { env, ownHash: true });
  await expect(sealModel({ name: 'm', files: FILES, ignored: IGNORED }, signer)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

describe('what model_signing wrote', () => {
  const golden = readFileSync(join(GOLDEN, 'oms/model.sig'));

  test('opens with its key, and with no other', async () => {
    await expect(openModel(golden, await goldenKey('oms-test.pub.pem'))).resolves.toMatchObject({
      signer: { type: 'key' },
      allowSymlinks: false,
    });
    await expect(openModel(golden, await goldenKey('wrong.pub.pem'))).rejects.toThrow('is not by the key');
  });

  test.each(['key', 'certificate', 'sigstore'])('the %s vector claims to be one', (name) => {
    expect(claimsModel(readFileSync(join(FIXTURES, `${name}.bundle.json`)))).toBe(true);
  });

  test('a certificate where a key is required', async () => {
    const verifier = await goldenKey('oms-test.pub.pem');
    await expect(openModel(readFileSync(join(FIXTURES, 'certificate.bundle.json')), verifier)).rejects.toThrow(
      'it was signed with a certificate, and a key is required',
    );
  });
});

interface Draft {
  _type: string;
  subject: unknown[];
  predicateType: string;
  predicate: { resources: Record<string, unknown>[]; serialization: Record<string, unknown> };
}

function edited(edit: (draft: Draft) => void): Buffer {
  const draft = JSON.parse(omsStatement('m', FILES, IGNORED)) as Draft;
  edit(draft);
  return Buffer.from(JSON.stringify(draft));
}

function named(name: string): Buffer {
  return edited(({ predicate }) => {
    (predicate.resources[0] ?? {})['name'] = name;
  });
}

describe('hostile statements', () => {
  test.each<[string, Buffer, string]>([
    ['a path out of the model', named('../x'), 'it names the path "../x", which leaves the directory'],
    ['an absolute path', named('/etc/passwd'), 'which is absolute'],
    ['a backslash', named('a\\b'), 'which holds a backslash'],
    ['a NUL byte', named('a\0'), 'which holds a NUL byte'],
    ['an empty name', named(''), 'which is empty'],
    ['a name that is not canonical', named('./a'), 'which is not in canonical form'],
    ['a folder', named('a/'), 'which is not in canonical form'],
    ['a name twice', named('z'), 'it names "z" twice'],
    ['another predicate', edited((draft) => (draft.predicateType = 'https://slsa.dev/provenance/v1')), '`predicateType`'],
    ['another statement', edited((draft) => (draft._type = 'https://in-toto.io/Statement/v0.1')), '`_type`'],
    ['two subjects', edited(({ subject }) => void subject.push(subject[0])), '`subject`'],
    ['no files', edited(({ predicate }) => (predicate.resources = [])), '`predicate.resources`'],
    [
      'an unknown hash',
      edited(({ predicate }) => (predicate.serialization['hash_type'] = 'md5')),
      'its files are hashed with `md5`, and only sha256 is supported',
    ],
    [
      'another hash for one file',
      edited(({ predicate }) => void ((predicate.resources[0] ?? {})['algorithm'] = 'blake3')),
      'it gives "a-b" a digest of the algorithm `blake3`',
    ],
    ['shards', edited(({ predicate }) => (predicate.serialization['method'] = 'shards')), 'it signs parts of files (`shards`)'],
    [
      'a digest that is none',
      edited(({ predicate }) => void ((predicate.resources[0] ?? {})['digest'] = 'AB')),
      'it gives "a-b" a digest that is none',
    ],
    [
      'a changed file',
      edited(({ predicate }) => void ((predicate.resources[0] ?? {})['digest'] = hex('other'))),
      'its root digest is not that of the files it names',
    ],
    ['all ignored', edited(({ predicate }) => (predicate.serialization['ignore_paths'] = ['./'])), 'it ignores the whole model'],
    ['no JSON', Buffer.from('{'), 'is not JSON'],
  ])('%s', (_, payload, message) => {
    let thrown: unknown;
    try {
      parseSignedModel(payload);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'SIGNATURE_INVALID', message: expect.stringContaining(message) as string });
  });

  test('what older versions leave out', () => {
    const payload = edited(({ predicate }) => delete predicate.serialization['ignore_paths']);
    expect(parseSignedModel(payload).ignored).toEqual(['.git', '.gitattributes', '.github', '.gitignore']);
  });
});

test('only whole names at the top are ignored', () => {
  expect(['.git', '.git/x', '.gitignore', 'a/.git', '.gitmodules', 'model.sig2'].map((path) => isIgnored(path, IGNORED))).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('what differs is told', () => {
  const actual = new Map([...FILES, ['z', hex('other')], ['new', hex('n')]]);
  actual.delete('a-b');
  expect(compareModel(FILES, actual)).toEqual(['z was changed', 'a-b is missing', 'new was not signed']);
  expect(compareModel(FILES, actual, { ignoreUnsigned: true })).toEqual(['z was changed', 'a-b is missing']);
});
