import { KitError } from '../../errors.ts';

type Value = string | number | readonly string[];
export type Fields = Readonly<Record<string, Value>>;

/** Fills a template in with the fields of one entry. */
export type Template = (fields: Fields) => string;

type Node =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'value'; readonly words: readonly string[] }
  | {
      readonly type: 'block';
      readonly kind: 'range' | 'if';
      readonly words: readonly string[];
      readonly body: Node[];
      readonly other: Node[];
    };

const ACTION = /\{\{(-?)\s*((?:"(?:[^"\\]|\\.)*"|`[^`]*`|[^"`}])*?)\s*(-?)\}\}/g;

/**
 * The part of Go's text/template that lists need: fields, strings, `index`, `len`, `join`, `range`, `if`, `else`, `end`, and `-` to trim.
 * @param sample fields that there are, with values of their kind
 * @throws KitError USAGE when the template holds anything else
 */
export function parseTemplate(source: string, sample: Fields = SAMPLE): Template {
  const root: Node[] = [];
  const open: { readonly node: Extract<Node, { type: 'block' }>; list: Node[] }[] = [];
  let list = root;
  let position = 0;
  let trim = false;
  for (const match of source.matchAll(ACTION)) {
    addText(list, source.slice(position, match.index), trim, match[1] === '-');
    trim = match[3] === '-';
    position = match.index + match[0].length;
    const words = (match[2] ?? '').match(/"(?:[^"\\]|\\.)*"|`[^`]*`|[^\s]+/g) ?? [];
    const [keyword, ...rest] = words;
    if (keyword === 'range' || keyword === 'if') {
      const node = { type: 'block', kind: keyword, words: rest, body: [], other: [] } as const satisfies Node;
      list.push(node);
      open.push({ node, list });
      list = node.body;
    } else if (keyword === 'else' && rest.length === 0 && open.length > 0) list = (open.at(-1) as { node: { other: Node[] } }).node.other;
    else if (keyword === 'end') list = open.pop()?.list ?? fail(source, '{{end}} without a beginning');
    else list.push({ type: 'value', words });
  }
  const tail = source.slice(position);
  if (tail.includes('{{') || open.length > 0)
    fail(source, open.length > 0 ? `{{${open.at(-1)?.node.kind}}} without {{end}}` : 'an action is not closed');
  addText(list, tail, trim, false);
  // a trial run finds unknown fields and functions even when nothing is listed
  check(root, source, sample);
  return (fields) => render(root, fields, '', source).replace(/\n$/, '');
}

function addText(list: Node[], text: string, trimStart: boolean, trimEnd: boolean): void {
  const start = trimStart ? text.trimStart() : text;
  const trimmed = trimEnd ? start.trimEnd() : start;
  if (trimmed !== '') list.push({ type: 'text', text: trimmed });
}

const SAMPLE: Fields = { Repo: 'r', Digest: 'd', Tags: ['t'], ModelName: 'm', Size: 's', Author: 'a' };

function check(nodes: readonly Node[], source: string, sample: Fields): void {
  render(nodes, sample, '', source);
  for (const node of nodes) if (node.type === 'block') check(node.other, source, sample);
}

function render(nodes: readonly Node[], fields: Fields, dot: string, source: string): string {
  return nodes.map((node) => renderNode(node, fields, dot, source)).join('');
}

function renderNode(node: Node, fields: Fields, dot: string, source: string): string {
  if (node.type === 'text') return node.text;
  const value = evaluate(node.words, fields, dot, source);
  if (node.type === 'value') return typeof value === 'object' ? `[${value.join(' ')}]` : String(value);
  const isEmpty = value === '' || value === 0 || (typeof value === 'object' && value.length === 0);
  if (isEmpty) return render(node.other, fields, dot, source);
  if (node.kind === 'if') return render(node.body, fields, dot, source);
  const items = typeof value === 'object' ? value : fail(source, 'range needs a list');
  return items.map((item) => render(node.body, fields, item, source)).join('');
}

function evaluate([first = '', ...rest]: readonly string[], fields: Fields, dot: string, source: string): Value {
  const argument = (at: number): Value => evaluate([rest[at] ?? ''], fields, dot, source);
  if (first === 'index' && rest.length === 2) {
    const [items, at] = [argument(0), Number(argument(1))];
    const item = typeof items === 'object' ? items[at] : undefined;
    return item ?? (typeof items === 'object' && Number.isInteger(at) ? '<none>' : fail(source, 'index needs a list and a number'));
  }
  if (first === 'len' && rest.length === 1) {
    const value = argument(0);
    return typeof value === 'number' ? fail(source, 'len needs a list or text') : value.length;
  }
  if (first === 'join' && rest.length === 2) {
    const items = argument(0);
    return typeof items === 'object' ? items.join(String(argument(1))) : fail(source, 'join needs a list');
  }
  if (rest.length > 0) return fail(source, `\`${[first, ...rest].join(' ')}\` is not understood`);
  return operand(first, fields, dot, source);
}

function operand(word: string, fields: Fields, dot: string, source: string): Value {
  if (word === '.') return dot;
  if (/^\d+$/.test(word)) return Number(word);
  if (word.startsWith('`')) return word.slice(1, -1);
  if (word.startsWith('"')) return JSON.parse(word) as string;
  const name = /^\.(\w[\w.-]*)$/.exec(word)?.[1];
  return (name !== undefined && Object.hasOwn(fields, name) ? fields[name] : undefined) ?? fail(source, `\`${word}\` is not a field`);
}

function fail(source: string, why: string): never {
  throw new KitError('USAGE', `template \`${source}\`: ${why}`, {
    hint: 'fields are .Repo .Digest .Tags .ModelName .Size .Author; functions are index, len, join, range, if',
  });
}
