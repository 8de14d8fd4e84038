/** What may be below a field: `free` where anything may. */
export type Shape = 'value' | 'free' | { readonly list: Shape } | { readonly fields: Readonly<Record<string, Shape>> };

function values(...names: readonly string[]): Readonly<Record<string, Shape>> {
  return Object.fromEntries(names.map((name) => [name, 'value']));
}

function listOf(fields: Readonly<Record<string, Shape>>): Shape {
  return { list: { fields } };
}

/** Of content that stays where it is. */
const BY_REFERENCE = values('remotePath', 'remoteHash', 'remoteRevision');

/** Of a manifest in any format: what the Kitfile says, and the manifest. */
const CONTENT: Readonly<Record<string, Shape>> = {
  ...values('digest', 'mediaType', 'artifactType', 'format', 'size', 'layers', 'created', 'manifestVersion'),
  package: { fields: { ...values('name', 'version', 'description', 'license'), authors: { list: 'value' } } },
  model: {
    fields: {
      ...values('name', 'path', 'license', 'framework', 'format', 'version', 'description'),
      ...BY_REFERENCE,
      parts: listOf(values('name', 'path', 'license', 'type')),
      parameters: 'free',
    },
  },
  code: listOf(values('path', 'description', 'license')),
  datasets: listOf({ ...values('name', 'path', 'description', 'license'), ...BY_REFERENCE, parameters: 'free' }),
  docs: listOf(values('path', 'description')),
  prompts: listOf(values('name', 'path', 'description')),
  mcpServers: listOf(values('name', 'path', 'description')),
  annotations: 'free',
  customProperties: 'free',
  tensors: {
    fields: {
      ...values('parameters', 'count', 'architecture', 'quantization', 'contextLength', 'problem'),
      formats: { list: 'value' },
      dtypes: listOf(values('dtype', 'tensors', 'parameters', 'bytes')),
      memory: { fields: values('weights', 'keyValueCache', 'total') },
    },
  },
};

/** Where it is, and what is about it there. */
const PLACE: Readonly<Record<string, Shape>> = {
  ...values('reference', 'registry', 'repository'),
  tags: { list: 'value' },
  index: { fields: { digest: 'value', labels: 'free', annotations: 'free', platform: 'free' } },
  signatures: {
    fields: {
      ...values('present', 'count', 'attestations', 'sboms'),
      identities: { list: 'value' },
      issuers: { list: 'value' },
    },
  },
};

/** Every field that a document may have. */
export const FIELDS: Readonly<Record<string, Shape>> = { ...PLACE, ...CONTENT };

/** True for what only a place knows: it is not part of what is known of a digest. */
export function isPlaceField(name: string): boolean {
  return Object.hasOwn(PLACE, name);
}
