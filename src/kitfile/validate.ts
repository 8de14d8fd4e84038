import { KitError } from '../errors.ts';
import type { FieldPath } from './construct.ts';
import { cleanLayerPath, isModelKitReference, layerPathProblem } from './layer-path.ts';
import { type Position, quoteText } from './source-text.ts';
import { type Dataset, type Kitfile, type KitfileEntry, kitfileEntries, type ModelPart, type Role } from './types.ts';

interface Finding {
  readonly path: FieldPath;
  readonly message: string;
}

const PART_TYPE = /^\w[\w.-]*$/;
const PART_TYPE_MAX = 64;
const S3_URL = /^s3:\/\/[^/]+\/.+/;

/**
 * Checks what the schema cannot: paths, part types and remote datasets. Pure; whether files exist is for whoever packs.
 * @param locate of parseKitfile, so that each problem is given with its line and column
 * @throws KitError KITFILE_INVALID naming every problem, one a line
 */
export function validateKitfile(kitfile: Kitfile, file: string, locate?: (path: FieldPath) => Position): void {
  const findings = [
    ...checkPaths(kitfile),
    ...(kitfile.model?.parts ?? []).flatMap(checkPartType),
    ...(kitfile.datasets ?? []).flatMap(checkRemote),
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
function becomesLayer(kitfile: Kitfile, { role, index, path }: KitfileEntry): boolean {
  if (role === 'model') return path !== undefined && path !== '' && !isModelKitReference(path);
  if (role === 'dataset' && kitfile.datasets?.[index]?.remotePath) return path !== undefined && path !== '';
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

function checkRemote({ name, remotePath = '', remoteHash = '' }: Dataset, index: number): Finding[] {
  const label = `dataset ${name === undefined ? index : quoteText(name)}`;
  const at = (field: string): FieldPath => ['datasets', index, field];
  if (remotePath === '') {
    return remoteHash === ''
      ? []
      : [{ path: at('remoteHash'), message: `remote hash is only applicable when remotePath is set (${label})` }];
  }
  const findings: Finding[] = [];
  if (!S3_URL.test(remotePath) && !isModelKitReference(remotePath)) {
    const message = `only S3 URLs and ModelKit references are supported for remote dataset paths (${quoteText(remotePath)} in ${label})`;
    findings.push({ path: at('remotePath'), message });
  }
  if (remoteHash === '')
    findings.push({ path: at('remotePath'), message: `remoteHash is required when remote dataset paths are used (${label})` });
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
