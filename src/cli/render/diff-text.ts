import type { Descriptor } from '../../oci/descriptor.ts';
import type { DiffResult } from '../../operations/diff/diff.ts';
import type { FilesDiff } from '../../operations/diff/files.ts';
import type { IndexesDiff, IndexMember, MemberPair } from '../../operations/diff/indexes.ts';
import type { ListedFile } from '../../operations/remote-content/listed.ts';
import { stringifyExact } from '../../oci/json.ts';
import { singleLine } from './plain-text.ts';
import { formatBytes } from './text.ts';

/** How the two sides are named, and whether what differs of the Kitfile is shown. */
export interface DiffTextOptions {
  readonly a: string;
  readonly b: string;
  readonly withKitfile: boolean;
}

/** Two artifacts as kit shows them, and below that what it does not know. */
export function diffLines(result: DiffResult, { a, b, withKitfile }: DiffTextOptions): string[] {
  if (result.identical) return ['ModelKits are identical'];
  return [
    ...comparison(result, a, b),
    ...(withKitfile ? kitfileSection(result) : []),
    ...(result.files === undefined ? [] : filesSection(result.files)),
  ];
}

const MEMBER_RULE = '=======================================';

/** Two indexes: how each member fares, then each that differs by `lines`. */
export function indexesDiffLines<Result>(
  diff: IndexesDiff<Result>,
  lines: (result: Result, pair: MemberPair<Result>) => string[],
): string[] {
  const { a, b, identical, annotationsMatch, members, added, removed } = diff;
  if (identical) return ['Indexes are identical'];
  const rows = [
    ...removed.map((member) => `- ${titleOf(member)}`),
    ...added.map((member) => `+ ${titleOf(member)}`),
    ...members.map((pair) => `${pair.identical && pair.sameLabels ? '=' : '!'} ${pairRow(pair)}`),
  ];
  return [
    'Comparing indexes:',
    `  Index1: ${singleLine(a.reference)} (${a.digest})`,
    `  Index2: ${singleLine(b.reference)} (${b.digest})`,
    '',
    'Members:',
    RULE,
    ...(rows.length === 0 ? ['<none>'] : rows.map(singleLine)),
    ...(annotationsMatch ? [] : ['', 'The annotations of the indexes differ']),
    ...members.flatMap((pair) =>
      pair.diff === undefined ? [] : ['', MEMBER_RULE, singleLine(pair.name), MEMBER_RULE, ...lines(pair.diff, pair)],
    ),
  ];
}

function pairRow({ name, a, b, identical, sameLabels }: MemberPair<unknown>): string {
  const labels = sameLabels ? '' : `; labels: ${labelsOf(a)} -> ${labelsOf(b)}`;
  return `${name} (${identical ? b.digest : `${a.digest} -> ${b.digest}`}${labels})`;
}

function titleOf(member: IndexMember): string {
  const { digest, tag } = member;
  return `${Object.keys(member.labels).length > 0 ? labelsOf(member) : (tag ?? '<no labels>')} (${digest})`;
}

function labelsOf({ labels }: IndexMember): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${typeof value === 'string' ? value : stringifyExact(value)}`);
  return pairs.length === 0 ? '<none>' : pairs.join(', ');
}

const RULE = '---------------------------------------';

function comparison(result: DiffResult, a: string, b: string): string[] {
  return [
    'Comparing:',
    `  ModelKit1: ${a}`,
    `  ModelKit2: ${b}`,
    '',
    'Configurations:',
    RULE,
    ...(result.sameConfig
      ? [`  Configs are identical (Digest: ${result.a.config.slice(0, 17)})`]
      : [
          'Configs differ:',
          `  ModelKit1 Config Digest: ${result.a.config.slice(0, 17)}`,
          `  ModelKit2 Config Digest: ${result.b.config.slice(0, 17)}`,
        ]),
    '',
    'Annotations:',
    RULE,
    result.annotationsMatch ? '  Annotations are identical ' : '  Annotations does not match',
    '',
    ...section('Shared Layers', result.shared),
    ...section(`Unique Layers to ModelKit1 (${a})`, result.onlyA),
    ...section(`Unique Layers to ModelKit2 (${b})`, result.onlyB),
  ];
}

function section(title: string, layers: readonly Descriptor[]): string[] {
  if (layers.length === 0) return [title, RULE, '<none>', ''];
  const rows = layers.map(
    ({ mediaType, digest, size }) => `${typeName(mediaType).padEnd(7)} | ${digest.slice(0, 17).padEnd(18)} | ${formatBytes(size)}`,
  );
  return [title, RULE, 'Type    | Digest             | Size', ...rows, ''];
}

function kitfileSection({ kitfile = [] }: DiffResult): string[] {
  const rows = kitfile.flatMap(({ field, before, after }) => [
    ...(before === undefined ? [] : [`- ${singleLine(`${field}: ${before}`)}`]),
    ...(after === undefined ? [] : [`+ ${singleLine(`${field}: ${after}`)}`]),
  ]);
  return ['Kitfile', RULE, ...(rows.length === 0 ? ['<none>'] : rows), ''];
}

function filesSection({ added, removed, changed, undecided, read }: FilesDiff): string[] {
  const rows = [
    ...removed.map((file) => ({ path: file.path, text: `- ${nameAndSize(file)}` })),
    ...added.map((file) => ({ path: file.path, text: `+ ${nameAndSize(file)}` })),
    ...changed.map(({ a, b }) => ({ path: a.path, text: `! ${singleLine(a.path)} (${whatChanged(a, b)})` })),
    ...undecided.map((path) => ({ path, text: `? ${singleLine(path)} (same size; only the content would tell)` })),
  ].toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const lines = rows.length === 0 ? ['<none>'] : rows.map(({ text }) => text);
  return [`Files (${formatBytes(read)} of the layers were read)`, RULE, ...lines, ''];
}

function nameAndSize({ path, size }: ListedFile): string {
  return `${singleLine(path)}${size === undefined ? '' : ` (${formatBytes(size)})`}`;
}

function placeOf({ remote }: ListedFile): string {
  return remote === undefined ? 'in a layer' : `at ${singleLine(remote)}`;
}

function whatChanged(a: ListedFile, b: ListedFile): string {
  const changes = [
    ...((a.remote === undefined) === (b.remote === undefined) ? [] : [`${placeOf(a)} -> ${placeOf(b)}`]),
    ...(a.type === b.type ? [] : [`${a.type} -> ${b.type}`]),
    ...(a.size === b.size || a.size === undefined || b.size === undefined ? [] : [`${formatBytes(a.size)} -> ${formatBytes(b.size)}`]),
    ...(a.mode === b.mode ? [] : [`mode ${a.mode.toString(8)} -> ${b.mode.toString(8)}`]),
  ];
  return changes.length === 0 ? 'content' : changes.join(', ');
}

/** `application/vnd.kitops.modelkit.code.v1.tar` as `Code`. */
function typeName(mediaType: string): string {
  const type = /^application\/vnd\.(?:kitops\.modelkit|cncf\.model|cnai\.model)\.([\w.]+)\.v1\./.exec(mediaType)?.[1];
  return type === undefined ? mediaType : type.charAt(0).toUpperCase() + type.slice(1);
}
