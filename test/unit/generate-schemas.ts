/**
 * The parts of the Kubernetes API, and of the CRDs of KServe (v1beta1), Flux (v1), Argo CD (v1alpha1) and Kyverno (kyverno.io/v1), that
 * kit writes, as JSON Schema: a field that is not named here is refused.
 */
type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string', minLength: 1 };
const flag: Schema = { type: 'boolean' };
const whole: Schema = { type: 'integer' };
const only = (...values: readonly string[]): Schema => ({ enum: values });
const list = (items: Schema): Schema => ({ type: 'array', minItems: 1, items });
const label: Schema = { type: 'string', pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' };
const object = (required: Readonly<Record<string, Schema>>, optional: Readonly<Record<string, Schema>> = {}): Schema => ({
  type: 'object',
  properties: { ...required, ...optional },
  required: Object.keys(required),
  additionalProperties: false,
});
const digest = '@sha256:[a-f0-9]{64}$';
const pinned: Schema = { type: 'string', pattern: digest };

const metadata = object({ name: label, annotations: { type: 'object', additionalProperties: { type: 'string' } } }, { namespace: label });
const kind = (apiVersion: string, name: string, spec: Schema): Schema =>
  object({ apiVersion: only(apiVersion), kind: only(name), metadata, spec });
const named = object({ name: text });
const pull = { serviceAccountName: text, imagePullSecrets: list(named) };

const mount = object({ name: label, mountPath: text }, { readOnly: flag, subPath: text });
const container = object(
  { name: label, image: text, volumeMounts: list(mount) },
  { command: list(text), env: list(object({ name: text, value: text })) },
);
const volume: Schema = {
  oneOf: [
    object({ name: label, image: object({ reference: pinned, pullPolicy: only('IfNotPresent') }) }),
    object({ name: label, emptyDir: object({}) }),
    object({ name: label, secret: object({ secretName: text, items: list(object({ key: text, path: text })) }) }),
  ],
};

const resources = object({ any: list(object({ resources: object({ kinds: list(text) }) })) });
const attestor: Schema = {
  oneOf: [
    object({
      keys: object({
        publicKeys: { type: 'string', pattern: '^-----BEGIN PUBLIC KEY-----\n[^]+-----END PUBLIC KEY-----\n$' },
        rekor: object({ ignoreTlog: flag }),
        ctlog: object({ ignoreSCT: flag }),
      }),
    }),
    object({ keyless: object({ subject: text, issuer: text }) }),
  ],
};
const action = only('Audit', 'Enforce');
const verifyImages = object({
  type: only('Cosign'),
  imageReferences: list(text),
  failureAction: action,
  required: flag,
  verifyDigest: flag,
  mutateDigest: flag,
  attestors: list(object({ count: whole, entries: list(attestor) })),
});
const extractors: Schema = { type: 'object', additionalProperties: list(object({ name: text, path: text }, { jmesPath: text })) };
const rule: Schema = {
  oneOf: [
    object({ name: label, match: resources, verifyImages: list(verifyImages) }, { imageExtractors: extractors }),
    object({ name: label, match: resources, validate: object({ failureAction: action, message: text, pattern: { type: 'object' } }) }),
  ],
};

/** By kind. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  InferenceService: kind(
    'serving.kserve.io/v1beta1',
    'InferenceService',
    object({
      predictor: object(
        {
          model: object(
            {
              modelFormat: named,
              storageUri: { type: 'string', pattern: `^(kit|oci|oci\\+modelcar|oci\\+native|oci\\+fetch)://[^ ]+${digest}` },
            },
            { runtime: text },
          ),
        },
        { canaryTrafficPercent: { type: 'integer', minimum: 0, maximum: 100 }, ...pull },
      ),
    }),
  ),
  Pod: kind(
    'v1',
    'Pod',
    object(
      { restartPolicy: only('Never', 'Always'), containers: list(container), volumes: list(volume) },
      { initContainers: list(container), ...pull },
    ),
  ),
  Application: kind(
    'argoproj.io/v1alpha1',
    'Application',
    object({
      project: text,
      source: object({
        repoURL: { type: 'string', pattern: '^oci://' },
        targetRevision: { type: 'string', pattern: '^sha256:[a-f0-9]{64}$' },
        path: text,
      }),
      destination: object({ server: text, namespace: label }),
      syncPolicy: object({ syncOptions: list(text) }, { automated: object({ prune: flag, selfHeal: flag }) }),
    }),
  ),
  OCIRepository: kind(
    'source.toolkit.fluxcd.io/v1',
    'OCIRepository',
    object(
      {
        interval: text,
        url: { type: 'string', pattern: '^oci://' },
        ref: object({ digest: { type: 'string', pattern: '^sha256:[a-f0-9]{64}$' } }),
      },
      { secretRef: named, serviceAccountName: text, verify: object({ provider: only('cosign'), secretRef: named }) },
    ),
  ),
  Kustomization: kind(
    'kustomize.toolkit.fluxcd.io/v1',
    'Kustomization',
    object(
      { interval: text, path: text, prune: flag, sourceRef: object({ kind: only('OCIRepository'), name: text }) },
      { targetNamespace: label },
    ),
  ),
  ClusterPolicy: kind(
    'kyverno.io/v1',
    'ClusterPolicy',
    object({ background: flag, webhookConfiguration: object({ timeoutSeconds: whole }), rules: list(rule) }),
  ),
};

/**
 * A schema that a project publishes (`fixtures/crds`), applied as by `kubectl apply --validate=strict`: a field that is not named is refused,
 * unless its object keeps whatever it is given.
 */
export function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, strict(value)]));
  const isOpen = 'additionalProperties' in entries || entries['x-kubernetes-preserve-unknown-fields'] === true;
  // a field may be called `properties` too: only a schema that says its type has them as its own
  return 'properties' in entries && entries['type'] === 'object' && !isOpen ? { ...entries, additionalProperties: false } : entries;
}
