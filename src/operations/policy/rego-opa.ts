import { execFile } from 'node:child_process';
import * as z from 'zod';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { POLICY_RULES, type RegoResults } from '../../policy/rego.ts';
import type { Kit } from '../kit.ts';

const MAX_MILLISECONDS = 10_000;
const MAX_OUTPUT = 16 * 1024 * 1024;

const term = z.object({ value: z.unknown() });
/** What `opa parse` says of a module. */
const moduleSchema = z.object({
  package: z.object({ path: z.array(term) }),
  rules: z.array(z.object({ head: z.object({ name: z.string().optional(), ref: z.array(term).optional() }) })).default([]),
});
const answerSchema = z.object({
  result: z.array(z.object({ expressions: z.array(z.object({ value: z.record(z.string(), z.array(z.unknown())) })) })),
});

/**
 * Evaluates a file in Rego with the `opa` that is on PATH: each rule that it has of those that say something, so that one which is not
 * defined for this input is seen. @throws KitError UNSUPPORTED without opa, POLICY_INVALID
 */
export async function evaluateWithOpa(kit: Kit, file: string, input: string, call: CallOptions): Promise<RegoResults> {
  const { path, rules } = await readModule(kit, file, call);
  if (rules.length === 0) return {};
  const of = rules.map(
    (rule) => `${JSON.stringify(rule)}: [v | v := data${path.map((one) => `[${JSON.stringify(one)}]`).join('')}.${rule}]`,
  );
  const args = ['eval', '--format', 'json', '--strict-builtin-errors', '--stdin-input', '--data', file, `{${of.join(', ')}}`];
  const { result } = answerSchema.parse(JSON.parse(await runOpa(kit, args, { file, input }, call)));
  const value = result[0]?.expressions[0]?.value ?? {};
  return Object.fromEntries(rules.map((rule) => [rule, value[rule]?.[0]]));
}

async function readModule(
  kit: Kit,
  file: string,
  call: CallOptions,
): Promise<{ readonly path: readonly string[]; readonly rules: readonly string[] }> {
  const parsed = moduleSchema.parse(JSON.parse(await runOpa(kit, ['parse', '--format', 'json', file], { file, input: '' }, call)));
  const names = parsed.rules.map(({ head: { name, ref = [] } }) => name ?? String(ref[0]?.value));
  return {
    path: parsed.package.path.slice(1).map(({ value }) => String(value)),
    rules: POLICY_RULES.filter((rule) => names.includes(rule)),
  };
}

/** What it prints. */
async function runOpa(
  kit: Kit,
  args: readonly string[],
  { file, input }: { readonly file: string; readonly input: string },
  call: CallOptions,
): Promise<string> {
  return await new Promise<string>((resolve, reject) => {
    const options = { env: { ...kit.env }, timeout: MAX_MILLISECONDS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT } as const;
    const child = execFile('opa', args, { ...options, ...(call.signal && { signal: call.signal }) }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(failed(file, error, stdout || stderr));
    });
    // one that ends before it has read everything is told about by its status
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

function failed(file: string, error: Error & { readonly code?: unknown; readonly killed?: boolean }, output: string): Error {
  if (error.name === 'AbortError') return error;
  if (error.code === 'ENOENT') {
    return new KitError('UNSUPPORTED', `${file} is in Rego, and there is no \`opa\` on PATH to evaluate it`, {
      hint: 'compile it once, `opa build -t wasm -e PACKAGE/deny FILE`, and name the bundle.tar.gz instead: that needs no other program',
      cause: error,
    });
  }
  const why = error.killed === true ? `it takes longer than ${MAX_MILLISECONDS / 1000} s` : messageIn(output);
  return new KitError('POLICY_INVALID', `the policy ${file} cannot be evaluated: ${why}`, {
    hint: '`opa check FILE` and `kit policy input REFERENCE` help to find out why',
    cause: error,
  });
}

/** The first error that opa lists, else its first line. */
function messageIn(output: string): string {
  try {
    const { errors = [] } = JSON.parse(output) as { readonly errors?: readonly { readonly message?: string }[] };
    return errors[0]?.message ?? 'opa failed';
  } catch {
    return output.trim().split('\n', 1)[0] ?? 'opa failed';
  }
}
