import { isDigest } from './digest.ts';

const DESCRIPTOR = ['mediaType', 'digest', 'size', 'annotations', 'artifactType'] as const;
const MANIFEST = ['schemaVersion', 'mediaType', 'artifactType', 'config', 'layers', 'subject', 'annotations'] as const;
const INDEX = ['schemaVersion', 'mediaType', 'artifactType', 'manifests', 'subject', 'annotations'] as const;

type Fields = Readonly<Partial<Record<(typeof DESCRIPTOR | typeof MANIFEST | typeof INDEX)[number], unknown>>>;

/**
 * True for a manifest or index as they mostly are: only fields of the spec, in its order, each of its type. The schema would
 * give such a value back as it is, at many times the cost; all others are for the schema to accept, reorder or refuse.
 */
export function isWellFormed(value: unknown, kind: 'manifest' | 'index'): boolean {
  if (!hasFields(value, kind === 'manifest' ? MANIFEST : INDEX)) return false;
  const { schemaVersion, mediaType, artifactType, config, layers, manifests, subject, annotations } = value as Fields;
  const children = kind === 'manifest' ? layers : manifests;
  return (
    schemaVersion === 2 &&
    isOptional(mediaType, isString) &&
    isOptional(artifactType, isString) &&
    (kind === 'index' || isDescriptor(config)) &&
    Array.isArray(children) &&
    children.every(isDescriptor) &&
    isOptional(subject, isDescriptor) &&
    isOptional(annotations, isAnnotations)
  );
}

function isDescriptor(value: unknown): boolean {
  if (!hasFields(value, DESCRIPTOR)) return false;
  const { mediaType, digest, size, annotations, artifactType } = value as Fields;
  return (
    isString(mediaType) &&
    mediaType !== '' &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    isOptional(annotations, isAnnotations) &&
    isOptional(artifactType, isString)
  );
}

/** An object with none but these fields, in this order. */
function hasFields(value: unknown, fields: readonly string[]): boolean {
  if (!isObject(value)) return false;
  let next = 0;
  for (const key of Object.keys(value)) {
    const found = fields.indexOf(key, next);
    if (found === -1) return false;
    next = found + 1;
  }
  return true;
}

function isAnnotations(value: unknown): boolean {
  // as a field name of a copy, `__proto__` would not be one
  return isObject(value) && !Object.hasOwn(value, '__proto__') && Object.values(value).every(isString);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isOptional(value: unknown, check: (value: unknown) => boolean): boolean {
  return value === undefined || check(value);
}
