import { KitError } from '../../errors.ts';
import { type Edits, RESERVED_PREFIX } from '../../formats/model-index.ts';
import { parseVerbatimJson } from '../../oci/json.ts';

/** A DNS name and `/` if the author wants it, then a name: what Kubernetes takes, and KitOps. */
const KEY = /^(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const MAX_KEY_LENGTH = 316;
const HOW = 'write KEY=VALUE to set, KEY:=JSON for any JSON, KEY- to take away';

interface Edit {
  readonly key: string;
  /** Undefined takes the key away. */
  readonly value: string | undefined;
  readonly isJson: boolean;
}

/** `key=value`, `key:=JSON` and `key-` of each. @throws KitError USAGE */
export function parseLabelEdits(args: readonly string[]): Edits<unknown> {
  const edits = parseEdits(args, 'label');
  const set = new Map<string, unknown>();
  for (const { key, value, isJson } of edits) {
    if (value === undefined) continue;
    if (key.length > MAX_KEY_LENGTH || !KEY.test(key)) {
      throw new KitError('USAGE', `invalid label key \`${key}\``, {
        hint: 'a key has letters, digits, `-`, `_` and `.`, and may have a DNS name and `/` before it, as `example.com/gpu`',
      });
    }
    set.set(key, isJson ? parseValue(key, value) : value);
  }
  return { set, remove: removals(edits) };
}

/** `key=value` and `key-` of each. @throws KitError USAGE */
export function parseAnnotationEdits(args: readonly string[]): Edits<string> {
  const edits = parseEdits(args, 'annotation');
  for (const { key, value, isJson } of edits) {
    if (key.startsWith(RESERVED_PREFIX))
      throw new KitError('USAGE', `invalid annotation \`${key}\`: those below \`${RESERVED_PREFIX}\` are written by kit itself`);
    if (isJson) throw new KitError('USAGE', `invalid annotation \`${key}:=${value}\`: its value is a text`, { hint: 'write KEY=VALUE' });
  }
  const set = edits.flatMap(({ key, value }) => (value === undefined ? [] : [[key, value] as const]));
  return { set: new Map(set), remove: removals(edits) };
}

/** The labels that a variant must have: `key=value` of each. @throws KitError USAGE */
export function parseSelector(args: readonly string[]): Record<string, string> {
  const selector = new Map<string, string>();
  for (const arg of args) {
    const equals = arg.indexOf('=');
    if (equals < 1) throw new KitError('USAGE', `invalid label \`${arg}\``, { hint: 'write it as KEY=VALUE' });
    const key = arg.slice(0, equals);
    requireFirst(selector, key, arg, 'label');
    selector.set(key, arg.slice(equals + 1));
  }
  return Object.fromEntries(selector);
}

function parseEdits(args: readonly string[], kind: string): Edit[] {
  const edits = new Map<string, Edit>();
  for (const arg of args) {
    const [, key = '', colon = '', value] = /^([^=]*?)(:?)=(.*)$/s.exec(arg) ?? /^(.*)-$/s.exec(arg) ?? [];
    if (key === '') throw new KitError('USAGE', `invalid ${kind} \`${arg}\``, { hint: HOW });
    requireFirst(edits, key, arg, kind);
    edits.set(key, { key, value, isJson: colon !== '' });
  }
  return [...edits.values()];
}

function requireFirst(known: ReadonlyMap<string, unknown>, key: string, arg: string, kind: string): void {
  if (known.has(key)) throw new KitError('USAGE', `invalid ${kind} \`${arg}\`: \`${key}\` is given twice`);
}

function removals(edits: readonly Edit[]): Set<string> {
  return new Set(edits.filter(({ value }) => value === undefined).map(({ key }) => key));
}

function parseValue(key: string, text: string): unknown {
  try {
    return parseVerbatimJson(text);
  } catch (cause) {
    throw new KitError('USAGE', `invalid label \`${key}:=${text}\`: the value is not JSON`, {
      cause,
      hint: 'quote it for the shell: `-l \'gpus:=["sm_80","sm_90"]\'`',
    });
  }
}
