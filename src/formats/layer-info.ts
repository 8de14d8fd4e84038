import type { KitfileEntry, Role } from '../kitfile/types.ts';
import { KitError } from '../errors.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { JsonValue } from '../oci/json.ts';

/** What a config says of a layer. */
export interface LayerInfo {
  readonly digest: Digest;
  readonly diffId: Digest | undefined;
}

const LIST_OF_ROLE: Readonly<Record<Exclude<Role, 'model' | 'modelpart'>, string>> = {
  code: 'code',
  dataset: 'datasets',
  docs: 'docs',
  prompt: 'prompts',
  mcpserver: 'mcpServers',
};

/** The digests beside an entry in a Kitfile's JSON; undefined where there are none. @throws KitError MANIFEST_INVALID */
export function layerInfoIn(config: JsonValue, entry: KitfileEntry, name: string): LayerInfo | undefined {
  const { role, index } = entry;
  const model = field(config, 'model');
  const item =
    role === 'model' ? model : role === 'modelpart' ? at(field(model, 'parts'), index) : at(field(config, LIST_OF_ROLE[role]), index);
  const digest = field(item, 'digest') ?? '';
  const diffId = field(item, 'diffId') ?? '';
  if (digest === '' && diffId === '') return undefined;
  const where = `${name}: config, ${role} ${entry.name ?? entry.path ?? index}`;
  if (digest === '') throw new KitError('MANIFEST_INVALID', `${where}: a diffId without a digest`);
  return { digest: parseDigest(digest, where), diffId: diffId === '' ? undefined : parseDigest(diffId, where) };
}

function field(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function at(value: JsonValue | undefined, index: number): JsonValue | undefined {
  return Array.isArray(value) ? value[index] : undefined;
}
