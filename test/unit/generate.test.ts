import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { loadAll } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { isKitError } from '../../src/errors.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { generate, type GenerateTemplate } from '../../src/operations/generate/generate.ts';
import { deriveName } from '../../src/operations/generate/names.ts';
import { createKit } from '../../src/operations/kit.ts';
import { SCHEMAS, strict } from './generate-schemas.ts';

const NEW = digestOf(Buffer.from('new'));
const OLD = digestOf(Buffer.from('old'));
const REPOSITORY = 'registry.example:5000/team/My-Model'.toLowerCase();
const KEY = readFileSync(join(import.meta.dirname, '..', '..', 'fixtures', 'golden', 'cosign-keys', 'cosign.pub'), 'utf8');

interface Made {
  readonly yaml: string;
  /** What a reader of YAML finds. */
  readonly objects: readonly Record<string, unknown>[];
  readonly notes: readonly string[];
}

async function make(template: GenerateTemplate, reference = `${REPOSITORY}:v2@${NEW}`): Promise<Made> {
  // asks no registry
  const kit = createKit({ env: {}, home: '/nonexistent' });
  const { yaml, objects, notes } = await generate(kit, { reference: parseReference(reference), template, resolve: false });
  const read = loadAll(yaml) as Record<string, unknown>[];
  expect(read).toEqual(objects);
  return { yaml, objects: read, notes };
}

const previous = parseReference(`${REPOSITORY}@${OLD}`);
const pull = { serviceAccount: 'puller', pullSecret: 'registry.example' };
const place = { name: 'mine', namespace: 'models' };

const TEMPLATES: readonly (readonly [string, GenerateTemplate])[] = [
  ['kserve', { kind: 'kserve', scheme: 'kit', modelFormat: 'sklearn' }],
  [
    'kserve with a canary',
    { kind: 'kserve', scheme: 'kit', modelFormat: 'sklearn', runtime: 'mine', canaryPercent: 10, previous, ...place, ...pull },
  ],
  ['kserve rolled back', { kind: 'kserve', scheme: 'kit', modelFormat: 'sklearn', rollback: true, previous }],
  ['kserve-modelcar', { kind: 'kserve-modelcar', scheme: 'oci+native', modelFormat: 'onnx' }],
  ['pod-image-volume', { kind: 'pod-image-volume' }],
  ['pod-image-volume with all', { kind: 'pod-image-volume', image: 'server:v3', mountPath: '/m', subPath: 'models', ...place, ...pull }],
  ['init-container', { kind: 'init-container' }],
  [
    'init-container with all',
    { kind: 'init-container', image: 'server:v3', initImage: 'kit:v1', filter: 'model,code:a*', cosignKeySecret: 'key', ...place, ...pull },
  ],
  ['init-container by identity', { kind: 'init-container', signer: { identity: 'ci@team.example', issuer: 'https://issuer.example' } }],
  ['argocd', { kind: 'argocd' }],
  ['argocd with all', { kind: 'argocd', path: 'overlays/prod', project: 'ml', targetNamespace: 'prod', automated: true, ...place }],
  ['flux', { kind: 'flux' }],
  ['flux with all', { kind: 'flux', path: 'prod', interval: '1h30m', targetNamespace: 'prod', verifySecret: 'keys', ...place, ...pull }],
  ['kyverno', { kind: 'kyverno', signer: { publicKey: KEY } }],
  [
    'kyverno by identity',
    { kind: 'kyverno', name: 'mine', audit: true, previous, signer: { identity: 'ci@team.example', issuer: 'https://issuer.example' } },
  ],
];

describe('every object has the fields of its kind and no other', () => {
  const ajv = new Ajv({ allErrors: true });
  const check = new Map(Object.entries(SCHEMAS).map(([kind, schema]) => [kind, ajv.compile(schema)]));

  test.each(TEMPLATES)('%s', async (_name, template) => {
    for (const object of (await make(template)).objects) {
      const validate = check.get(String(object['kind']));
      expect(validate?.(object), JSON.stringify(validate?.errors)).toBe(true);
      expect(validate?.({ ...object, spec: { ...(object['spec'] as object), unknown: 1 } })).toBe(false);
    }
  });
});

describe('every object is valid by the schema that its project publishes', () => {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  const check = new Map(
    Object.keys(SCHEMAS).map((kind) => {
      const text = readFileSync(join(import.meta.dirname, '..', '..', 'fixtures', 'crds', `${kind}.json`), 'utf8');
      return [kind, ajv.compile(strict(JSON.parse(text)) as object)] as const;
    }),
  );

  test.each(TEMPLATES)('%s', async (_name, template) => {
    for (const object of (await make(template)).objects) {
      const validate = check.get(String(object['kind']));
      expect(validate?.(object), JSON.stringify(validate?.errors)).toBe(true);
      expect(validate?.({ ...object, spec: { ...(object['spec'] as object), unknown: 1 } })).toBe(false);
    }
  });
});

test('a canary says how it is promoted and rolled back', async () => {
  const { yaml, notes } = await make({ kind: 'kserve', scheme: 'kit', modelFormat: 'sklearn', canaryPercent: 10, previous, ...place });
  expect(yaml).toMatchInlineSnapshot(`
    "# promote: kubectl patch inferenceservice mine -n models --type merge -p '{"spec":{"predictor":{"canaryTrafficPercent":null}}}'
    # roll back: kubectl patch inferenceservice mine -n models --type merge -p '{"spec":{"predictor":{"canaryTrafficPercent":null,"model":{"storageUri":"kit://registry.example:5000/team/my-model@${OLD}"}}}}'
    apiVersion: serving.kserve.io/v1beta1
    kind: InferenceService
    metadata:
      name: mine
      namespace: models
      annotations:
        ocikit/reference: registry.example:5000/team/my-model:v2@${NEW}
        ocikit/previous: kit://registry.example:5000/team/my-model@${OLD}
        serving.kserve.io/enable-tag-routing: "true"
    spec:
      predictor:
        canaryTrafficPercent: 10
        model:
          modelFormat:
            name: sklearn
          storageUri: kit://registry.example:5000/team/my-model@${NEW}
    "
  `);
  expect(notes).toHaveLength(2);
});

test('a rollback serves the version before, to everyone', async () => {
  const { objects } = await make({ kind: 'kserve', scheme: 'oci', modelFormat: 'sklearn', rollback: true, previous });
  expect(objects).toMatchObject([
    { metadata: { name: 'my-model' }, spec: { predictor: { model: { storageUri: `oci://${REPOSITORY}@${OLD}` } } } },
  ]);
  expect(JSON.stringify(objects)).not.toContain('canary');
  expect(JSON.stringify(objects)).not.toContain(NEW);
});

test('a policy approves the versions that it is told of', async () => {
  const { objects } = await make({ kind: 'kyverno', signer: { publicKey: KEY }, previous });
  const text = JSON.stringify(objects);
  expect(text).toContain(`*://${REPOSITORY}@${NEW} | *://${REPOSITORY}@${OLD}`);
  expect(text).toContain('"failureAction":"Enforce"');
});

test.each([
  ['ghcr.io/team/My.Model_v2', 'my-model-v2'],
  ['7b-instruct', 'model-7b-instruct'],
  [`r/${'a'.repeat(80)}`, 'a'.repeat(63)],
  [`r/${'a'.repeat(62)}-bcd`, 'a'.repeat(62)],
  ['r/---', 'model'],
])('%s is called %s', (repository, name) => {
  expect(deriveName(repository)).toBe(name);
});

const kserve = { kind: 'kserve', scheme: 'kit', modelFormat: 'sklearn' } as const;
const evil = 'a\nmetadata: {}';

describe('what is refused', () => {
  test.each<readonly [string, GenerateTemplate, string]>([
    ['a name', { ...kserve, name: evil }, '--name'],
    ['a name with capitals', { ...kserve, name: 'Model' }, '--name'],
    ['a namespace', { ...kserve, namespace: "x'; rm -rf /" }, '--namespace'],
    ['a service account', { ...kserve, serviceAccount: evil }, '--service-account'],
    ['a secret', { ...kserve, pullSecret: '../x' }, '--pull-secret'],
    ['a format', { ...kserve, modelFormat: '{}' }, '--model-format'],
    ['a runtime', { ...kserve, runtime: evil }, '--runtime'],
    ['no format', { kind: 'kserve', scheme: 'kit' }, 'the format of the model is not known without asking the registry'],
    ['101 percent', { ...kserve, canaryPercent: 101 }, '--canary-percent'],
    ['no number', { ...kserve, canaryPercent: Number.NaN }, '--canary-percent'],
    ['back to nothing', { ...kserve, rollback: true }, '--rollback needs --previous'],
    ['back and forth', { ...kserve, rollback: true, canaryPercent: 1, previous }, 'contradict'],
    ['an image', { kind: 'pod-image-volume', image: evil }, 'invalid reference'],
    ['a mount path', { kind: 'pod-image-volume', mountPath: '/a/../b' }, '--mount-path'],
    ['a relative mount path', { kind: 'pod-image-volume', mountPath: 'models' }, '--mount-path'],
    ['a path out of the image', { kind: 'pod-image-volume', subPath: '../etc' }, '--sub-path'],
    ['an init image', { kind: 'init-container', initImage: '-x' }, 'invalid reference'],
    ['a filter', { kind: 'init-container', filter: 'nonsense' }, 'nonsense'],
    ['a secret with a key', { kind: 'init-container', cosignKeySecret: 'A' }, '--cosign-key-secret'],
    ['a key and an identity', { kind: 'init-container', cosignKeySecret: 'a', signer: { identity: 'a', issuer: 'b' } }, 'both'],
    ['an identity of two lines', { kind: 'init-container', signer: { identity: evil, issuer: 'b' } }, '--certificate-identity'],
    ['an issuer of two lines', { kind: 'kyverno', signer: { identity: 'a', issuer: evil } }, '--certificate-oidc-issuer'],
    ['a path out of the artifact', { kind: 'argocd', path: 'a/../..' }, '--path'],
    ['an absolute path', { kind: 'flux', path: '/etc' }, '--path'],
    ['a project', { kind: 'argocd', project: evil }, '--project'],
    ['a target namespace', { kind: 'argocd', targetNamespace: 'A' }, '--target-namespace'],
    ['an interval', { kind: 'flux', interval: '10' }, '--interval'],
    ['a secret with keys', { kind: 'flux', verifySecret: '' }, '--verify-secret'],
    ['a namespace for a policy of the cluster', { kind: 'kyverno', namespace: 'a', signer: { publicKey: KEY } }, 'has no namespace'],
    ['a key that is none', { kind: 'kyverno', signer: { publicKey: 'x' } }, 'public key'],
    [
      'a version of another repository',
      { kind: 'kyverno', previous: parseReference(`r.io/b@${OLD}`), signer: { publicKey: KEY } },
      'another repository',
    ],
  ])('%s', async (_name, template, message) => {
    await expect(make(template)).rejects.toThrow(message);
  });

  test('a private key, which would be published', async () => {
    const { generateKeyPairSync } = await import('node:crypto');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const publicKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await expect(make({ kind: 'kyverno', signer: { publicKey } })).rejects.toThrow('public key');
  });

  test.each([
    ['a name without a registry', `model@${NEW}`, 'a cluster pulls from a registry'],
    ['no digest where the registry is not asked', `${REPOSITORY}:v2`, '--no-resolve needs a digest'],
    ['several tags', `${REPOSITORY}:a,b@${NEW}`, 'one tag at a time'],
  ])('%s', async (_name, reference, message) => {
    const error: unknown = await make(kserve, reference).catch((cause: unknown) => cause);
    expect(isKitError(error) && error.hint).toBeTruthy();
    expect(String(error)).toContain(message);
  });
});
