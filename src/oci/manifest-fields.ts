import type { Annotations, Descriptor } from './descriptor.ts';
import { type Digest, isDigest } from './digest.ts';
import type { Index, Manifest } from './manifest.ts';

/** A field that is not as the OCI image spec has it. */
export class FieldError extends Error {
  /** Its name, after those of the objects and the places in the lists that it is in: `layers.0.size`. Empty for the document. */
  readonly path: string;

  constructor(path: string, why: string) {
    super(why);
    this.path = path;
  }
}

type Reader<T> = (value: unknown, path: string) => T;

// in the order of the spec's fields, which is the order in which they are shown
const DESCRIPTOR = {
  mediaType: readMediaType,
  digest: readDigest,
  size: readSize,
  annotations: optional(readAnnotations),
  artifactType: optional(readString),
};
const HEAD = { schemaVersion: readVersion, mediaType: optional(readString), artifactType: optional(readString) };
const TAIL = { subject: optional(readDescriptor), annotations: nullable(readAnnotations) };
const MANIFEST = { ...HEAD, config: readDescriptor, layers: readDescriptors, ...TAIL };
const INDEX = { ...HEAD, manifests: readDescriptors, ...TAIL };

/**
 * The manifest in a JSON value: a copy with the spec's fields first and in its order; fields that the spec lacks are kept.
 * By hand and not by a schema: every command reads one, and a library of schemas would be a tenth of its start.
 * @throws FieldError
 */
export function readManifest(value: unknown): Manifest {
  return readFields(value, '', MANIFEST) as unknown as Manifest;
}

/** The index in a JSON value, in the same way. @throws FieldError */
export function readIndex(value: unknown): Index {
  return readFields(value, '', INDEX) as unknown as Index;
}

function readFields(value: unknown, path: string, readers: Readonly<Record<string, Reader<unknown>>>): Record<string, unknown> {
  if (!isObject(value)) throw unexpected('an object', value, path);
  const fields: Record<string, unknown> = {};
  for (const [name, read] of Object.entries(readers)) {
    const field = read(value[name], path === '' ? name : `${path}.${name}`);
    if (field !== undefined) fields[name] = field;
  }
  for (const [name, field] of Object.entries(value)) {
    if (!Object.hasOwn(readers, name) && isName(name)) fields[name] = field;
  }
  return fields;
}

function readDescriptor(value: unknown, path: string): Descriptor {
  return readFields(value, path, DESCRIPTOR) as unknown as Descriptor;
}

function readDescriptors(value: unknown, path: string): readonly Descriptor[] {
  // Go writes a nil list as null
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw unexpected('a list', value, path);
  return value.map((one, index) => readDescriptor(one, `${path}.${index}`));
}

function readAnnotations(value: unknown, path: string): Annotations {
  if (!isObject(value)) throw unexpected('an object', value, path);
  const annotations: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) {
    if (isName(name)) annotations[name] = readString(text, `${path}.${name}`);
  }
  return annotations;
}

function readString(value: unknown, path: string): string {
  if (typeof value !== 'string') throw unexpected('a text', value, path);
  return value;
}

function readMediaType(value: unknown, path: string): string {
  if (value === '') throw new FieldError(path, 'must not be empty');
  return readString(value, path);
}

function readDigest(value: unknown, path: string): Digest {
  if (!isDigest(value)) throw new FieldError(path, 'not a digest');
  return value;
}

function readSize(value: unknown, path: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw unexpected('a number of bytes', value, path);
  return value as number;
}

function readVersion(value: unknown, path: string): 2 {
  if (value !== 2) throw unexpected('2', value, path);
  return value;
}

function optional<T>(read: Reader<T>): Reader<T | undefined> {
  return (value, path) => (value === undefined ? undefined : read(value, path));
}

function nullable<T>(read: Reader<T>): Reader<T | undefined> {
  return (value, path) => optional(read)(value ?? undefined, path);
}

/** As the name of a field of a copy, `__proto__` would set something else. */
function isName(name: string): boolean {
  return name !== '__proto__';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unexpected(expected: string, value: unknown, path: string): FieldError {
  return new FieldError(path, `expected ${expected}, received ${kindOf(value)}`);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? 'a text' : JSON.stringify(value);
}
