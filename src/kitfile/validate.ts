import { KitError } from '../errors.ts';
import type { FieldPath } from './construct.ts';
import { cleanLayerPath, isModelKitReference, layerPathProblem } from './layer-path.ts';
import { type Position, quoteText } from './source-text.ts';
import {
  type Dataset,
  isRemoteEntry,
  type Kitfile,
  type KitfileEntry,
  kitfileEntries,
  type Model,
  type ModelPart,
  type Role,
} from './types.ts';

interface Finding {
  readonly path: FieldPath;
  readonly message: string;
}

const PART_TYPE = /^\w[\w.-]*$/;
const PART_TYPE_MAX = 64;
/** Where content may stay: an object or prefix of S3, the Hugging Face hub, a file of a web server, a git repository (with LFS). */
const REMOTE = /^(?:s3:\/\/[^/?#]+\/[^?#]|hf:\/\/[^/]|(?:git\+)?https?:\/\/[^/])/;
const REMOTE_FORMS = 's3://BUCKET/KEY, hf://[datasets/]ORG/NAME, https://..., git+https://...#PATH or the reference of a ModelKit';

/**
 * Checks what the schema cannot: paths, part types and remote datasets. Pure; whether files exist is for whoever packs.
 * @param locate of parseKitfile, so that each problem is given with its line and column
 * @throws KitError KITFILE_INVALID naming every problem, one a line
 */
export function validateKitfile(kitfile: Kitfile, file: string, locate?: (path: FieldPath) => Position): void {
  const findings = [
    ...checkPaths(kitfile),
    ...(kitfile.model?.parts ?? []).flatMap(checkPartType),
    ...(kitfile.datasets ?? []).flatMap((dataset, index) =>
      checkRemote(dataset, ['datasets', index], `dataset ${dataset.name === undefined ? index : quoteText(dataset.name)}`),
    ),
    ...(kitfile.model === undefined ? [] : checkRemoteModel(kitfile.model)),
  ].map((finding) => ({ message: finding.message, position: locate?.(finding.path) }));
  if (findings.length === 0) return;
  const lines = findings
    .toSorted((a, b) => comparePositions(a.position, b.position) || compareText(a.message, b.message))
    .map(({ message, position }) => `  * ${position === undefined ? '' : `${file}:${position.line}:${position.column}: `}${message}`);
  throw new KitError('KITFILE_INVALID', `errors while validating Kitfile ${file}:\n${lines.join('\n')}`, {
    hint: `correct ${file} and run the command again`,
  });
}

/** What is odd and still works. */
export function kitfileWarnings(kitfile: Kitfile): string[] {
  const { manifestVersion } = kitfile;
  if (/^v?1\.0(?:\.0)?$/.test(manifestVersion)) return [];
  if (manifestVersion === '') return ['the Kitfile has no manifestVersion: treating it as 1.0.0'];
  return [`unrecognized manifestVersion ${quoteText(manifestVersion)}: treating the Kitfile as 1.0.0`];
}

interface PathUse {
  readonly label: string;
  readonly path: FieldPath;
  readonly written: string | undefined;
}

function checkPaths(kitfile: Kitfile): Finding[] {
  const uses = new Map<string, PathUse[]>();
  const findings: Finding[] = [];
  for (const entry of kitfileEntries(kitfile)) {
    if (!becomesLayer(kitfile, entry)) continue;
    const use: PathUse = { label: entryLabel(entry), path: entryPath(entry), written: entry.path };
    const problem = layerPathProblem(entry.path ?? '');
    if (problem !== undefined)
      findings.push({ path: use.path, message: `${problem} (path ${quoteText(entry.path ?? '')} in ${use.label})` });
    const cleaned = cleanLayerPath(entry.path);
    uses.set(cleaned, [...(uses.get(cleaned) ?? []), use]);
  }
  return [...findings, ...[...uses].flatMap(([path, users]) => (users.length > 1 ? [sharedPath(path, users)] : []))];
}

/** A model needs a path of its own files to be a layer, and a remote dataset stays where it is. */
function becomesLayer(kitfile: Kitfile, entry: KitfileEntry): boolean {
  const { role, path } = entry;
  if (role === 'model') return path !== undefined && path !== '' && !isModelKitReference(path);
  if (isRemoteEntry(kitfile, entry)) return path !== undefined && path !== '';
  return true;
}

function sharedPath(path: string, users: readonly PathUse[]): Finding {
  const labels = users.map(({ label, written }) =>
    cleanLayerPath(written) === (written ?? '') ? label : `${label} (${quoteText(written ?? '')})`,
  );
  const message = `${labels.slice(0, -1).join(', ')} and ${labels.at(-1)} use the same path ${quoteText(path)}`;
  return { path: users.at(-1)?.path ?? [], message };
}

function checkPartType({ name, type }: ModelPart, index: number): Finding[] {
  if (type === undefined || type === '') return [];
  const path = ['model', 'parts', index, 'type'];
  const label = `modelpart ${name === undefined ? index : quoteText(name)}`;
  const findings: Finding[] = [];
  if (!PART_TYPE.test(type))
    findings.push({ path, message: `${label} has invalid type (must be alphanumeric with dots, dashes, and underscores)` });
  if (type.length > PART_TYPE_MAX)
    findings.push({ path, message: `${label} type is too long (must be fewer than ${PART_TYPE_MAX} characters)` });
  return findings;
}

function checkRemote({ remotePath = '', remoteHash = '' }: Dataset | Model, at: FieldPath, label: string): Finding[] {
  if (remotePath === '') {
    const message = `remote hash is only applicable when remotePath is set (${label})`;
    return remoteHash === '' ? [] : [{ path: [...at, 'remoteHash'], message }];
  }
  const finding = (message: string): Finding[] => [{ path: [...at, 'remotePath'], message: `${message} in ${label})` }];
  if (isModelKitReference(remotePath)) return [];
  if (!REMOTE.test(remotePath)) return finding(`a remotePath is ${REMOTE_FORMS} (${quoteText(remotePath)}`);
  // it is published with the ModelKit
  const url = URL.parse(remotePath.replace(/^git\+/, ''));
  if (url === null) return finding(`a remotePath is a URL (${quoteText(remotePath)}`);
  if (url.username !== '' || url.password !== '') return finding(`a remotePath must not hold credentials (${quoteText(url.host)}`);
  return [];
}

function checkRemoteModel(model: Model): Finding[] {
  const { path = '', remotePath = '' } = model;
  const findings = checkRemote(model, ['model'], 'model');
  if (remotePath !== '' && isModelKitReference(remotePath))
    findings.push({
      path: ['model', 'remotePath'],
      message: `another ModelKit is named by the path of a model (${quoteText(remotePath)})`,
    });
  if (remotePath !== '' && isModelKitReference(path))
    findings.push({
      path: ['model', 'path'],
      message: `a model that stays elsewhere has no other ModelKit as its path (${quoteText(path)})`,
    });
  return findings;
}

const LISTS: Readonly<Record<Exclude<Role, 'model'>, readonly string[]>> = {
  modelpart: ['model', 'parts'],
  code: ['code'],
  dataset: ['datasets'],
  docs: ['docs'],
  prompt: ['prompts'],
  mcpserver: ['mcpServers'],
};

function entryPath({ role, index }: KitfileEntry): FieldPath {
  return role === 'model' ? ['model', 'path'] : [...LISTS[role], index, 'path'];
}

/** As kit names entries: by name where they have one, else by place. */
function entryLabel({ role, index, name }: KitfileEntry): string {
  if (role === 'code' || role === 'docs') return `${role} layer ${index}`;
  if (name !== undefined && name !== '') return `${role} ${quoteText(name)}`;
  return role === 'model' ? 'model' : `${role} ${index}`;
}

function comparePositions(a: Position | undefined, b: Position | undefined): number {
  if (a === undefined || b === undefined) return 0;
  return a.line - b.line || a.column - b.column;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
