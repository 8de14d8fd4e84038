import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { compareBytes, parseVerbatimJson, stringifyExact, stringifyLikeGo } from '../oci/json.ts';
import { parseIndex } from '../oci/manifest.ts';
import { isManifestType, MEDIA_TYPE } from '../oci/media-types.ts';
import { modelTypeOf } from './registry.ts';

const LABELS = 'modelMetadata';
/** Annotations below this are kit's own. */
export const RESERVED_PREFIX = 'ml.kitops.modelkit.';
const ORIGINAL_TAG = `${RESERVED_PREFIX}original-tag`;
const SIZE = `${RESERVED_PREFIX}size`;

/** One of the artifacts that an index offers. */
export interface Variant {
  /** Without what the index says of it. */
  readonly descriptor: Descriptor;
  /** Any JSON, in byte order of the keys. Of an index that is not kit's: its platform, and what kind of model it is. */
  readonly labels: ReadonlyMap<string, unknown>;
  /** Without those that kit records. */
  readonly annotations: Annotations;
  /** The tag that it was added by, in the repository of the index. */
  readonly tag: string | undefined;
  /** Bytes of its layers. */
  readonly size: number | undefined;
}

export interface ModelIndex {
  /** False for any other image index: one of platforms, or a Modelcar with its ModelPack. */
  readonly isOfModelKits: boolean;
  readonly variants: readonly Variant[];
}

type Json = Readonly<Record<string, unknown>>;

/** `name` goes into messages. @throws KitError MANIFEST_INVALID */
export function parseModelIndex(bytes: Uint8Array, name: string): ModelIndex {
  const { artifactType, manifests } = parseIndex(bytes, name);
  const isOfModelKits = artifactType === MEDIA_TYPE.modelIndex;
  const raw = entriesOf(parseBody(bytes));
  const variants = manifests.flatMap((descriptor, position) =>
    isManifestType(descriptor.mediaType) ? [readVariant(descriptor, raw[position] ?? {}, isOfModelKits)] : [],
  );
  return { isOfModelKits, variants };
}

function readVariant(entry: Descriptor, raw: Json, isOfModelKits: boolean): Variant {
  const { mediaType, digest, size, annotations = {} } = entry;
  const { [ORIGINAL_TAG]: tag, [SIZE]: recorded = '', ...others } = annotations;
  return {
    descriptor: { mediaType, digest, size },
    labels: isOfModelKits ? sorted(raw[LABELS]) : impliedLabels(entry),
    annotations: others,
    tag,
    size: /^\d{1,15}$/.test(recorded) ? Number(recorded) : undefined,
  };
}

/** What the descriptor says without labels. */
function impliedLabels(entry: Descriptor): Map<string, unknown> {
  const { platform } = entry as {
    readonly platform?: { readonly os?: unknown; readonly architecture?: unknown; readonly variant?: unknown };
  };
  const parts = [platform?.os, platform?.architecture, platform?.variant].filter((part) => typeof part === 'string' && part !== '');
  const model = modelTypeOf(entry);
  return new Map([
    ...(model === undefined ? [] : [['format', model] as const]),
    ...(parts.length < 2 || parts[0] === 'unknown' ? [] : [['platform', parts.join('/')] as const]),
  ]);
}

function sorted(map: unknown): Map<string, unknown> {
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return new Map();
  return new Map(Object.entries(map).toSorted(([a], [b]) => compareBytes(a, b)));
}

/** A label's value as it is shown and chosen by: a text as it is, anything else as JSON. */
export function labelText(value: unknown): string {
  return typeof value === 'string' ? value : stringifyExact(value);
}

/** `key=value` of each. */
export function labelPairs(labels: ReadonlyMap<string, unknown>): string[] {
  return [...labels].map(([key, value]) => `${key}=${labelText(value)}`);
}

const MAX_LINES = 40;
const MAX_LINE_LENGTH = 200;

/** The variants with their labels, a line each with a line break before it, for messages. */
export function describeVariants(variants: readonly Variant[]): string {
  const lines = variants.slice(0, MAX_LINES).map(({ descriptor, tag, labels }) => {
    const name = tag === undefined ? '' : ` ${plain(tag)}`;
    return `\n  ${descriptor.digest}${name} (${labels.size === 0 ? 'no labels' : plain(labelPairs(labels).join(', '))})`;
  });
  const more = variants.length > MAX_LINES ? `\n  and ${variants.length - MAX_LINES} more` : '';
  return lines.join('') + more;
}

/** Whoever made the index wrote this: it must not be able to pass for another line, or drive a terminal. */
function plain(text: string): string {
  const cut = text.length > MAX_LINE_LENGTH ? `${text.slice(0, MAX_LINE_LENGTH)}…` : text;
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?');
}

/** Values to set and keys to take away. */
export interface Edits<Value> {
  readonly set: ReadonlyMap<string, Value>;
  readonly remove: ReadonlySet<string>;
}

export interface NewVariant {
  readonly descriptor: Descriptor;
  readonly artifactType: string | undefined;
  /** Undefined when it was named by its digest. */
  readonly tag: string | undefined;
  /** Bytes of its layers. */
  readonly size: number;
}

/** The bytes of an index of no ModelKits. */
export function emptyModelIndex(): Buffer {
  return Buffer.from(
    stringifyLikeGo({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, artifactType: MEDIA_TYPE.modelIndex, manifests: [] }),
  );
}

/** The index with the variant in it, at its end or where it was: labels and annotations change what the entry has. Other fields stay. */
export function withVariant(bytes: Uint8Array, added: NewVariant, labels: Edits<unknown>, annotations: Edits<string>): Buffer {
  const body = parseBody(bytes);
  const entries = entriesOf(body);
  const position = entries.findIndex(({ digest }) => digest === added.descriptor.digest);
  const { annotations: noted, artifactType, [LABELS]: had, ...fields } = entries[position] ?? {};
  const { mediaType, digest, size } = added.descriptor;
  const recorded = new Map([...(added.tag === undefined ? [] : [[ORIGINAL_TAG, added.tag] as const]), [SIZE, String(added.size)] as const]);
  const entry = {
    mediaType,
    digest,
    size,
    annotations: edited(new Map([...sorted(noted), ...recorded]), annotations),
    ...without(fields, ['mediaType', 'digest', 'size']),
    artifactType: added.artifactType ?? artifactType,
    [LABELS]: edited(sorted(had), labels),
  };
  return writeBody(body, position === -1 ? [...entries, entry] : entries.with(position, entry));
}

/** The index without a variant; undefined when it has no such. */
export function withoutVariant(bytes: Uint8Array, digest: Digest): Buffer | undefined {
  const body = parseBody(bytes);
  const entries = entriesOf(body);
  const rest = entries.filter((entry) => entry['digest'] !== digest);
  return rest.length === entries.length ? undefined : writeBody(body, rest);
}

/** Undefined when nothing is left: the field is then absent, as Go leaves it. */
function edited(current: ReadonlyMap<string, unknown>, { set, remove }: Edits<unknown>): Map<string, unknown> | undefined {
  const merged = [...new Map([...current, ...set])].filter(([key]) => !remove.has(key));
  return merged.length === 0 ? undefined : new Map(merged.toSorted(([a], [b]) => compareBytes(a, b)));
}

function without(fields: Json, names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** The index with every field as it was written, also those that no specification knows. */
export function parseBody(bytes: Uint8Array): Json {
  return parseVerbatimJson(Buffer.from(bytes).toString('utf8')) as Json;
}

function entriesOf(body: Json): readonly Json[] {
  return (body['manifests'] ?? []) as readonly Json[];
}

function writeBody(body: Json, manifests: readonly unknown[]): Buffer {
  return Buffer.from(stringifyLikeGo({ ...body, manifests }));
}
