import { type Event, EVENT_ID, getScalarValue, parseEvents, SCALAR_STYLE, type ScalarEvent, YAMLException } from 'js-yaml';

import { MAX_DEPTH } from './max-depth.ts';
import { type Problem, quoteText, sourceError, type SourceText } from './source-text.ts';

/** A YAML node that knows where it stands. `offset` is a UTF-16 offset in the text. */
export type Node = ScalarNode | SequenceNode | MappingNode | AliasNode;

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly offset: number;
  /** Decoded, not resolved: escapes and folding are done, `0x10` is still text. */
  readonly text: string;
  /** Short form (`!!str`, `!own`); empty without a tag. */
  readonly tag: string;
  readonly plain: boolean;
}

export interface SequenceNode {
  readonly kind: 'sequence';
  readonly offset: number;
  readonly items: Node[];
}

export interface MappingNode {
  readonly kind: 'mapping';
  readonly offset: number;
  readonly pairs: { readonly key: Node; value: Node }[];
}

/** `target` is always a finished node, so the graph has no cycles. */
export interface AliasNode {
  readonly kind: 'alias';
  readonly offset: number;
  readonly target: Exclude<Node, AliasNode>;
}

/** The node tree of each document of a YAML stream. @throws KitError KITFILE_INVALID */
export function composeDocuments(source: SourceText): Node[] {
  let events: Event[];
  try {
    events = parseEvents(source.text, { maxDepth: MAX_DEPTH });
  } catch (error) {
    if (error instanceof YAMLException) throw sourceError(source, [syntaxProblem(error)], error);
    throw error;
  }
  return new Composer(source, events).compose();
}

function syntaxProblem(error: YAMLException): Problem {
  const tab = error.reason.includes('tab char') ? 'indent with spaces' : 'check the indentation, quotes and colons around this place';
  return { offset: error.mark?.position ?? 0, message: `not valid YAML: ${error.reason}`, hint: tab };
}

type Collection = (SequenceNode | MappingNode) & { pendingKey?: Node | undefined };

class Composer {
  readonly #source: SourceText;
  readonly #events: readonly Event[];
  readonly #stack: Collection[] = [];
  readonly #documents: Node[] = [];
  #anchors = new Map<string, Exclude<Node, AliasNode>>();
  #handles = new Map<string, string>();
  /** Where an empty scalar stands: after the last thing seen. */
  #lastOffset = 0;

  constructor(source: SourceText, events: readonly Event[]) {
    this.#source = source;
    this.#events = events;
  }

  compose(): Node[] {
    for (const event of this.#events) this.#accept(event);
    return this.#documents;
  }

  #accept(event: Event): void {
    switch (event.type) {
      case EVENT_ID.DOCUMENT:
        this.#anchors = new Map();
        this.#handles = new Map(event.directives.flatMap((item) => (item.kind === 'tag' ? [[item.handle, item.prefix]] : [])));
        break;
      case EVENT_ID.SCALAR:
        this.#add(this.#scalar(event), event);
        break;
      case EVENT_ID.ALIAS:
        this.#add(this.#alias(event.anchorStart, event.anchorEnd));
        break;
      case EVENT_ID.SEQUENCE:
        this.#open({ kind: 'sequence', offset: this.#at(event.start), items: [] }, event);
        break;
      case EVENT_ID.MAPPING:
        this.#open({ kind: 'mapping', offset: this.#at(event.start), pairs: [] }, event);
        break;
      case EVENT_ID.POP:
        this.#stack.pop();
        break;
    }
  }

  #at(offset: number): number {
    this.#lastOffset = Math.max(this.#lastOffset, offset);
    return offset;
  }

  #open(node: Collection, event: { anchorStart: number; anchorEnd: number }): void {
    this.#add(node, event);
    this.#stack.push(node);
  }

  #add(node: Node, anchored?: { anchorStart: number; anchorEnd: number }): void {
    if (anchored !== undefined && anchored.anchorStart >= 0 && node.kind !== 'alias') {
      this.#anchors.set(this.#source.text.slice(anchored.anchorStart, anchored.anchorEnd), node);
    }
    const parent = this.#stack.at(-1);
    if (parent === undefined) this.#documents.push(node);
    else if (parent.kind === 'sequence') parent.items.push(node);
    else if (parent.pendingKey === undefined) parent.pendingKey = node;
    else {
      parent.pairs.push({ key: parent.pendingKey, value: node });
      parent.pendingKey = undefined;
    }
  }

  #alias(start: number, end: number): AliasNode {
    const name = this.#source.text.slice(start, end);
    const offset = this.#at(start - 1);
    const target = this.#anchors.get(name);
    if (target === undefined) throw this.#error(offset, `no anchor ${quoteText(`&${name}`)} before this alias`);
    if (this.#stack.some((open) => open === target)) throw this.#error(offset, `anchor ${quoteText(`&${name}`)} contains itself`);
    return { kind: 'alias', offset, target };
  }

  #scalar(event: ScalarEvent): ScalarNode {
    const quoted = event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED;
    const offset = event.valueStart < 0 ? this.#lastOffset : this.#at(quoted ? event.valueStart - 1 : event.valueStart);
    this.#at(event.valueEnd);
    const text = getScalarValue(this.#source.text, event);
    const escaped = event.style === SCALAR_STYLE.DOUBLE_QUOTED ? this.#source.text.slice(event.valueStart, event.valueEnd) : '';
    if (!text.isWellFormed() || hasHugeEscape(escaped)) throw this.#error(offset, 'an escape that is not a Unicode character');
    const tag = event.tagStart < 0 ? '' : this.#tag(this.#source.text.slice(event.tagStart, event.tagEnd));
    return { kind: 'scalar', offset, text, tag, plain: event.style === SCALAR_STYLE.PLAIN };
  }

  #tag(raw: string): string {
    const verbatim = /^!<(.*)>$/s.exec(raw)?.[1];
    if (verbatim !== undefined) return shortTag(verbatim);
    const [, handle = '!', suffix = ''] = /^(![\w-]*!|!)(.*)$/s.exec(raw) ?? [];
    const prefix = this.#handles.get(handle);
    return prefix === undefined ? raw : shortTag(prefix + suffix);
  }

  #error(offset: number, message: string): Error {
    return sourceError(this.#source, [{ offset, message }]);
  }
}

/** `\U00110000` and above: the parser wraps these around instead of refusing them. */
function hasHugeEscape(escaped: string): boolean {
  for (const [, digits] of escaped.matchAll(/\\(?:U([0-9A-Fa-f]{8})|.)/gs)) {
    if (digits !== undefined && Number.parseInt(digits, 16) > 0x10_ff_ff) return true;
  }
  return false;
}

function shortTag(tag: string): string {
  const prefix = 'tag:yaml.org,2002:';
  return tag.startsWith(prefix) ? `!!${tag.slice(prefix.length)}` : tag;
}
