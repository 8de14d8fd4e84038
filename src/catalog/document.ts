import { KitError } from '../errors.ts';
import { type JsonValue, parseExactJson, stringifyExact } from '../oci/json.ts';

/** Deeper than any Kitfile, and within what databases take. */
const MAX_DEPTH = 120;
/** Far more than people write; what holds many at a time stays within memory. */
const MAX_BYTES = 512 * 1024;

/**
 * What is kept of an artifact, as JSON that every database takes: no NUL, no halves of surrogate pairs, no number that JSON has not.
 * `name` goes into messages. @throws KitError LIMIT_EXCEEDED
 */
export function documentText(fields: Readonly<Record<string, unknown>>, name: string): string {
  const text = stringifyExact(portable(fields, name, 0));
  if (text.length <= MAX_BYTES) return text;
  throw new KitError('LIMIT_EXCEEDED', `${name}: what it says of itself has ${text.length} characters, the limit is ${MAX_BYTES}`);
}

function portable(value: unknown, name: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new KitError('LIMIT_EXCEEDED', `${name}: its fields are more than ${MAX_DEPTH} levels deep`);
  if (typeof value === 'string') return portableText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (value === null || value === undefined || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => portable(item, name, depth + 1));
  const entries = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value);
  // a map: names such as __proto__ are nothing special in it
  return new Map(entries.map(([key, item]) => [portableText(key), portable(item, name, depth + 1)]));
}

function portableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

/** Where a model is. */
export interface Placed {
  /** `ghcr.io/team/model`, or a name of local storage. */
  readonly repository: string;
  readonly registry: string | undefined;
  /** In order; none for what is found by digest only. */
  readonly tags: readonly string[];
  readonly digest: string;
  /** The digest of the index that it is a member of, and what that says of it; else undefined. */
  readonly index: { readonly digest: string; readonly detail: string } | undefined;
  /** JSON; undefined where they are not asked for. */
  readonly tensors: string | null | undefined;
  readonly signatures: string | null | undefined;
}

/** The whole document, from what is known of its place and of its digest. */
export function placedDocument({ repository, registry, tags, digest, index, tensors, signatures }: Placed, content: string): string {
  const [tag] = tags;
  const reference = index === undefined && tag !== undefined ? `${repository}:${tag}` : `${repository}@${digest}`;
  const member = index === undefined ? undefined : { digest: index.digest, ...(JSON.parse(index.detail) as object) };
  const head = JSON.stringify({ reference, registry, repository, tags, index: member });
  const more = Object.entries({ tensors, signatures }).map(([name, json]) => (typeof json === 'string' ? `,"${name}":${json}` : ''));
  return `${head.slice(0, -1)},${content.slice(1, -1)}${more.join('')}}`;
}

/** A document as values: integers beyond 2^53 are bigints. */
export type Document = { readonly [field: string]: JsonValue };

export function parseDocument(text: string): Document {
  return parseExactJson(text) as Document;
}
