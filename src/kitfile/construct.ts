import type { JsonValue } from '../oci/json.ts';
import type { AliasNode, MappingNode, Node, ScalarNode, SequenceNode } from './compose.ts';
import { MAX_DEPTH } from './max-depth.ts';
import { resolveScalar } from './resolve-scalar.ts';
import { positionAt, quoteText, sourceError, type SourceText } from './source-text.ts';

/** Steps of a field path: names of fields and indexes of lists. */
export type FieldPath = readonly (string | number)[];

/** Offsets of one field or list item: of its name (for items the same as the value's) and of its value. */
interface FieldOffsets {
  readonly name: number;
  readonly value: number;
}

/** A document as plain values, before the schema has seen it. */
export interface Constructed {
  readonly value: unknown;
  /** For each object and list in `value`, where its fields stand. */
  readonly offsets: WeakMap<object, ReadonlyMap<string | number, FieldOffsets>>;
}

// what aliases may add to a document, in characters; a node counts as NODE_COST
const ALIAS_BUDGET = 16 * 1024 * 1024;
const NODE_COST = 32;

/**
 * Plain values of a node tree. Scalars keep their literal text, as yaml.v3 does for fields of the type string, and null
 * is undefined; where `isFree` says so the value is free-form JSON with its scalars resolved. Merges (`<<`) are done.
 * @throws KitError KITFILE_INVALID
 */
export function construct(source: SourceText, root: Node, isFree: (path: FieldPath) => boolean): Constructed {
  const constructor = new Constructor(source, isFree);
  return { value: constructor.value(root, []), offsets: constructor.offsets };
}

interface Pair {
  readonly key: string;
  readonly keyOffset: number;
  readonly value: Node;
}

class Constructor {
  readonly offsets = new WeakMap<object, ReadonlyMap<string | number, FieldOffsets>>();
  readonly #source: SourceText;
  readonly #isFree: (path: FieldPath) => boolean;
  #aliasDepth = 0;
  #aliasCost = 0;
  #depth = 0;

  constructor(source: SourceText, isFree: (path: FieldPath) => boolean) {
    this.#source = source;
    this.#isFree = isFree;
  }

  value(node: Node, path: FieldPath): unknown {
    if (this.#isFree(path)) return this.#json(node);
    return this.#visit(node, (target) => {
      if (target.kind === 'scalar') return this.#text(target);
      if (target.kind === 'sequence') return this.#list(target, path);
      const pairs = this.#pairs(target);
      const fields = new Map(pairs.map((pair) => [pair.key, { name: pair.keyOffset, value: pair.value.offset }]));
      const object = Object.fromEntries(pairs.map((pair) => [pair.key, this.value(pair.value, [...path, pair.key])]));
      this.offsets.set(object, fields);
      return object;
    });
  }

  #list(node: SequenceNode, path: FieldPath): unknown[] {
    const list = node.items.map((item, index) => this.value(item, [...path, index]));
    this.offsets.set(list, new Map(node.items.map(({ offset }, index) => [index, { name: offset, value: offset }])));
    return list;
  }

  /** The literal text; undefined for null. */
  #text(node: ScalarNode): string | undefined {
    const { tag, value } = this.#resolve(node);
    if (value === null) return undefined;
    return tag === '!!binary' ? String(value) : node.text;
  }

  #json(node: Node): JsonValue {
    return this.#visit(node, (target) => {
      if (target.kind === 'sequence') return target.items.map((item) => this.#json(item));
      if (target.kind === 'mapping') return Object.fromEntries(this.#pairs(target).map(({ key, value }) => [key, this.#json(value)]));
      const { tag, value } = this.#resolve(target);
      // the one time that Go reads and cannot write
      if (tag === '!!timestamp' && /[+-]24:\d\d$/.test(String(value)))
        throw this.#error(target, `${quoteText(target.text)} has no RFC 3339 form`);
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw this.#error(target, `${quoteText(target.text)} has no JSON form`, 'write a finite number, or quote it to keep it as text');
      }
      return value;
    });
  }

  #resolve(node: ScalarNode): ReturnType<typeof resolveScalar> {
    if ((node.tag === '' || node.tag === '!') && !node.plain) return { tag: '!!str', value: node.text };
    if (node.tag === '!!binary') return { tag: node.tag, value: this.#binary(node) };
    try {
      return resolveScalar(node.text, node.tag === '!' ? '' : node.tag);
    } catch (error) {
      if (error instanceof RangeError) throw this.#error(node, `${quoteText(node.text)} ${error.message}`);
      throw error;
    }
  }

  #binary(node: ScalarNode): string {
    const base64 = node.text.replaceAll(/[\r\n]/g, '');
    const bytes = Buffer.from(base64, 'base64');
    if (bytes.toString('base64') !== base64) throw this.#error(node, '!!binary holds no valid base64');
    const text = bytes.toString('utf8');
    if (!Buffer.from(text).equals(bytes)) throw this.#error(node, '!!binary holds bytes that are no UTF-8, which JSON cannot carry');
    return text;
  }

  /** The pairs of a mapping with those that it merges; a key of its own beats a merged one, an earlier merge a later. */
  #pairs(node: MappingNode): Pair[] {
    const pairs = new Map<string, Pair>();
    const own = new Map<string, Node>();
    let merge: Node | undefined;
    for (const { key, value } of node.pairs) {
      const name = this.#key(key);
      const first = own.get(name);
      if (first !== undefined) {
        const { line } = positionAt(this.#source.text, first.offset);
        throw this.#error(key, `duplicate key ${quoteText(name)}, already given in line ${line}`);
      }
      own.set(name, key);
      if (isMerge(key)) merge = value;
      else pairs.set(name, { key: name, keyOffset: key.offset, value });
    }
    if (merge === undefined) return [...pairs.values()];
    for (const source of this.#mergeSources(merge)) {
      for (const pair of this.#visit(source, (target) => this.#pairs(target as MappingNode))) {
        this.#charge(pair.value, pair.key.length);
        // a merged value is an alias in all but syntax
        const value: Node = pair.value.kind === 'alias' ? pair.value : { kind: 'alias', offset: pair.value.offset, target: pair.value };
        if (!pairs.has(pair.key)) pairs.set(pair.key, { ...pair, value });
      }
    }
    return [...pairs.values()];
  }

  #mergeSources(node: Node): Node[] {
    const sources = node.kind === 'sequence' ? node.items : [node];
    for (const source of sources) {
      if (dereference(source).kind !== 'mapping') throw this.#error(source, '`<<` merges a map or a list of maps');
    }
    return sources;
  }

  #key(node: Node): string {
    const target = dereference(node);
    if (target.kind !== 'scalar') throw this.#error(node, `a key must be text, found ${describeKind(target)}`);
    if (isMerge(target)) return '<<';
    if (this.#resolve(target).tag !== '!!str')
      throw this.#error(node, `a key must be text, found ${quoteText(target.text)}`, 'put it in quotes');
    return target.text;
  }

  /** Follows an alias and keeps count, so that a small file cannot become a huge value. */
  #visit<T>(node: Node, use: (target: Exclude<Node, AliasNode>) => T): T {
    const target = dereference(node);
    const isAlias = node.kind === 'alias';
    if (isAlias) this.#aliasDepth++;
    if (this.#aliasDepth > 0) this.#charge(node, target.kind === 'scalar' ? target.text.length : 0);
    this.#depth++;
    // the parser bounds what is written; aliases can stack it
    if (this.#depth > MAX_DEPTH) throw this.#error(node, `nested deeper than ${MAX_DEPTH} levels`);
    const result = use(target);
    this.#depth--;
    if (isAlias) this.#aliasDepth--;
    return result;
  }

  #charge(node: Node, characters: number): void {
    this.#aliasCost += NODE_COST + characters;
    if (this.#aliasCost > ALIAS_BUDGET) throw this.#error(node, 'the aliases of this file expand to too much');
  }

  #error(node: Node, message: string, hint?: string): Error {
    return sourceError(this.#source, [{ offset: node.offset, message, hint }]);
  }
}

function dereference(node: Node): Exclude<Node, AliasNode> {
  return node.kind === 'alias' ? node.target : node;
}

function isMerge(node: Node): boolean {
  return node.kind === 'scalar' && node.text === '<<' && (node.tag === '!!merge' || node.tag === '!' || (node.tag === '' && node.plain));
}

function describeKind(node: Node): string {
  return node.kind === 'sequence' ? 'a list' : 'a map';
}
