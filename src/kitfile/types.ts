import type { Digest } from '../oci/digest.ts';
import type { JsonValue } from '../oci/json.ts';

/** The Kitfile of KitOps 1.17. Field order is the order of the config blob. */
export interface Kitfile {
  readonly manifestVersion: string;
  readonly package: Package;
  readonly model?: Model;
  readonly code?: readonly Code[];
  readonly datasets?: readonly Dataset[];
  readonly docs?: readonly Docs[];
  readonly prompts?: readonly Prompt[];
  readonly mcpServers?: readonly McpServer[];
}

export interface Package {
  readonly name?: string;
  readonly version?: string;
  readonly description?: string;
  readonly license?: string;
  readonly authors?: readonly string[];
}

/** A file that stays where it is, as it was when it was packed. */
export interface RemoteFileRecord {
  /** Below the path of its entry; empty where the entry is the file. Not checked. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly digest: Digest;
}

/** Content that stays where it is. */
interface ByReference {
  /** `s3://`, `hf://`, `https://` or `git+https://`, or the reference of another ModelKit. */
  readonly remotePath?: string;
  /** `sha256:...`, the ETag of an object, or the commit of a repository. */
  readonly remoteHash?: string;
  /** What was found there at pack: the commit, or the digest of the other ModelKit. In configs only. */
  readonly remoteRevision?: string;
  /** In configs only. */
  readonly remoteFiles?: readonly RemoteFileRecord[];
}

export interface Model extends ByReference {
  readonly name?: string;
  /** A file or directory in the context, or a reference to another ModelKit. */
  readonly path?: string;
  readonly license?: string;
  readonly framework?: string;
  readonly format?: string;
  readonly version?: string;
  readonly description?: string;
  readonly parts?: readonly ModelPart[];
  readonly parameters?: JsonValue;
}

export interface ModelPart {
  readonly name?: string;
  readonly path?: string;
  readonly license?: string;
  readonly type?: string;
}

export interface Code {
  readonly path?: string;
  readonly description?: string;
  readonly license?: string;
}

export interface Dataset extends ByReference {
  readonly name?: string;
  readonly path?: string;
  readonly description?: string;
  readonly license?: string;
  readonly parameters?: JsonValue;
}

export interface Docs {
  readonly path: string;
  readonly description?: string;
}

export interface Prompt {
  readonly name?: string;
  readonly path?: string;
  readonly description?: string;
}

export type McpServer = Prompt;

/** The kinds of layer, in the order in which a manifest holds them. */
export const ROLES = ['model', 'modelpart', 'code', 'dataset', 'docs', 'prompt', 'mcpserver'] as const;
export type Role = (typeof ROLES)[number];

/** One entry of a Kitfile that may become a layer. `index` counts within its list. */
export interface KitfileEntry {
  readonly role: Role;
  readonly index: number;
  readonly name: string | undefined;
  readonly path: string | undefined;
}

type Item = Readonly<{ name?: string; path?: string }>;

function toEntry(role: Role): (item: Item, index: number) => KitfileEntry {
  return (item, index) => ({ role, index, name: item.name, path: item.path });
}

/** Every entry in layer order: model, parts, code, datasets, docs, prompts, mcpServers. */
export function kitfileEntries(kitfile: Kitfile): KitfileEntry[] {
  return [
    ...(kitfile.model ? [kitfile.model] : []).map(toEntry('model')),
    ...(kitfile.model?.parts ?? []).map(toEntry('modelpart')),
    ...(kitfile.code ?? []).map(toEntry('code')),
    ...(kitfile.datasets ?? []).map(toEntry('dataset')),
    ...(kitfile.docs ?? []).map(toEntry('docs')),
    ...(kitfile.prompts ?? []).map(toEntry('prompt')),
    ...(kitfile.mcpServers ?? []).map(toEntry('mcpserver')),
  ];
}

/** An entry whose content stays where it is. */
export interface RemoteEntry extends KitfileEntry, Omit<ByReference, 'remotePath'> {
  readonly role: 'model' | 'dataset';
  readonly remotePath: string;
}

/** The entries that are no layers, since their content stays where it is. */
export function remoteEntries(kitfile: Pick<Kitfile, 'model' | 'datasets'> = {}): RemoteEntry[] {
  const of = (role: RemoteEntry['role']) => (item: Model | Dataset, index: number) =>
    item.remotePath ? [{ ...item, ...toEntry(role)(item, index), role, remotePath: item.remotePath }] : [];
  return [...(kitfile.model ? [kitfile.model] : []).flatMap(of('model')), ...(kitfile.datasets ?? []).flatMap(of('dataset'))];
}

/** True for an entry whose content stays where it is. */
export function isRemoteEntry(kitfile: Kitfile, { role, index }: KitfileEntry): boolean {
  return remoteEntries(kitfile).some((entry) => entry.role === role && entry.index === index);
}
