import { kitfileFields } from '../../kitfile/fields.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type JsonValue, parseExactJson, stringifyExact } from '../../oci/json.ts';
import { type Index, type Manifest } from '../../oci/manifest.ts';
import { compareManifests } from '../artifact/compare-manifests.ts';

/** A field of the Kitfile, such as `model.name` or `datasets[0].path`, as JSON text; undefined where it is not there. */
export interface FieldChange {
  readonly field: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What is different from the entry before. */
export interface Changes {
  /** What is counted: of an index its manifests. Undefined where only one of the two is an index: there is nothing to compare. */
  readonly unit: 'layers' | 'manifests' | undefined;
  readonly added: readonly Descriptor[];
  readonly removed: readonly Descriptor[];
  /** How many are in both. */
  readonly kept: number;
  readonly fields: readonly FieldChange[];
  readonly annotationsMatch: boolean;
}

export interface Comparable {
  readonly content: Manifest | Index;
  readonly kitfile: Kitfile | undefined;
}

/** What changed from `older` to `newer`. An index counts by its manifests. */
export function changesBetween(older: Comparable, newer: Comparable): Changes {
  const unit = unitOf(newer.content);
  if (unitOf(older.content) !== unit) return { unit: undefined, added: [], removed: [], kept: 0, fields: [], annotationsMatch: true };
  const { shared, onlyA, onlyB, annotationsMatch } = compareManifests(asManifest(older.content), asManifest(newer.content));
  return { unit, added: onlyB, removed: onlyA, kept: shared.length, fields: fieldChanges(older.kitfile, newer.kitfile), annotationsMatch };
}

function unitOf(content: Manifest | Index): 'layers' | 'manifests' {
  return 'layers' in content ? 'layers' : 'manifests';
}

function asManifest(content: Manifest | Index): Manifest {
  if ('layers' in content) return content;
  const { manifests, annotations } = content;
  const nothing: Descriptor = { mediaType: '', digest: 'sha256:', size: 0 };
  return { schemaVersion: 2, config: nothing, layers: manifests, ...(annotations && { annotations }) };
}

/** In the order of the Kitfile; fields that are gone last. */
export function fieldChanges(older: Kitfile | undefined, newer: Kitfile | undefined): FieldChange[] {
  const [before, after] = [leavesOf(older), leavesOf(newer)];
  return [...new Set([...after.keys(), ...before.keys()])].flatMap((field) => {
    const change = { field, before: before.get(field), after: after.get(field) };
    return change.before === change.after ? [] : [change];
  });
}

function leavesOf(kitfile: Kitfile | undefined): Map<string, string> {
  const leaves = new Map<string, string>();
  // what was recorded of content elsewhere, too; parameters are maps, which JSON makes plain; a config blob, and so all of this, has at most 4 MiB
  if (kitfile !== undefined) addLeaves(leaves, '', parseExactJson(stringifyExact(kitfileFields(kitfile, () => undefined))));
  return leaves;
}

function addLeaves(leaves: Map<string, string>, path: string, value: JsonValue): void {
  if (Array.isArray(value)) for (const [index, item] of value.entries()) addLeaves(leaves, `${path}[${index}]`, item);
  else if (value !== null && typeof value === 'object')
    for (const [name, item] of Object.entries(value)) addLeaves(leaves, path === '' ? name : `${path}.${name}`, item);
  else leaves.set(path, stringifyExact(value));
}
