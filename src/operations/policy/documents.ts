import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { SourceText } from '../../kitfile/source-text.ts';
import { readYamlDocuments } from '../../kitfile/read-yaml.ts';
import { stringifyExact } from '../../oci/json.ts';
import { plainText } from '../../registry/redact.ts';
import type { Kit } from '../kit.ts';
import { judgeDocument, type PolicyReport } from './policy.ts';
import { type OpenPolicy, openPolicy, readLimited } from './open.ts';

const MAX_INPUT_BYTES = 32 * 1024 * 1024;

/** One document of a file, with a name for messages: `service.yaml InferenceService/llama`. */
export interface NamedDocument {
  readonly name: string;
  readonly value: unknown;
}

/**
 * Judges documents of any kind, such as Kubernetes objects: each document of each file or text (JSON, or YAML with `---`), and each item of a
 * list. @throws KitError POLICY_INVALID | PATH_NOT_FOUND | UNSUPPORTED
 */
export async function judgeFiles(
  kit: Kit,
  { policies, inputs }: { readonly policies: readonly string[]; readonly inputs: readonly (string | SourceText)[] },
  call: CallOptions = {},
): Promise<PolicyReport[]> {
  const opened = await Promise.all(policies.map(openPolicy));
  const reports: PolicyReport[] = [];
  for (const input of inputs) {
    const documents = await readDocuments(input);
    if (documents.length === 0) {
      const message = `${typeof input === 'string' ? input : input.file} is an empty list: nothing in it was judged`;
      call.onEvent?.({ type: 'warning', code: 'NOTHING_TO_JUDGE', message });
    }
    for (const one of documents) reports.push(await judgeNamed(kit, opened, one, call));
  }
  return reports;
}

export async function judgeNamed(
  kit: Kit,
  policies: readonly OpenPolicy[],
  { name, value }: NamedDocument,
  call: CallOptions,
): Promise<PolicyReport> {
  const results = [];
  for (const open of policies) results.push(await judgeDocument(kit, open, value, call));
  return { reference: name, passed: results.every((one) => one.passed || one.mode === 'warn'), policies: results };
}

/** None only of an empty list, as `kubectl get` prints it where there is nothing. @throws KitError POLICY_INVALID for what is no YAML, or holds nothing */
export async function readDocuments(input: string | SourceText): Promise<NamedDocument[]> {
  const { file, text } =
    typeof input === 'string' ? { file: input, text: (await readLimited(input, MAX_INPUT_BYTES)).toString('utf8') } : input;
  const values = readYamlDocuments(text, file, 'POLICY_INVALID');
  const found = values.flatMap((value) => itemsOf(plainJson(value)));
  if (values.length === 0) throw new KitError('POLICY_INVALID', `${file} holds no document`, { hint: 'give a file in JSON or YAML' });
  return found.map((value, index) => ({ name: nameOf(file, value, found.length > 1 ? `#${index + 1}` : ''), value }));
}

/** Integers that JSON.parse cannot hold become what it makes of them. */
export function plainJson(value: unknown): unknown {
  return JSON.parse(stringifyExact(value));
}

/** What `kubectl get -o yaml` prints of several objects. */
function itemsOf(value: unknown): unknown[] {
  const { kind, items } = (typeof value === 'object' && value !== null ? value : {}) as { kind?: unknown; items?: unknown };
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? (items as unknown[]) : [value];
}

function nameOf(file: string, value: unknown, position: string): string {
  const { kind, metadata } = (typeof value === 'object' && value !== null ? value : {}) as {
    kind?: unknown;
    metadata?: { name?: unknown } | null;
  };
  const object = typeof kind === 'string' && typeof metadata?.name === 'string' ? ` ${plainText(`${kind}/${metadata.name}`)}` : position;
  return `${file}${object}`;
}
