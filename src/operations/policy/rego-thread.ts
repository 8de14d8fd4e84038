import { createRequire } from 'node:module';
import type * as Interpreter from '@open-policy-agent/opa-wasm';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { RegoResults } from '../../policy/rego.ts';

/** What the thread is given. */
interface RegoJob {
  /** Where the interpreter of OPA's modules lies. */
  readonly interpreter: string;
  readonly wasm: Uint8Array;
  /** JSON texts. */
  readonly data: string | undefined;
  readonly input: string;
  /** Undefined: all that are called as a rule of a policy, else all. */
  readonly entrypoints: readonly string[] | undefined;
  readonly maxPages: number;
}

/** Of the module's memory: 256 MiB. */
const MAX_PAGES = 4096;
const MAX_HEAP_MIB = 512;
const MAX_MILLISECONDS = 10_000;

/**
 * Runs a module that `opa build -t wasm` made, on a thread that is ended when it takes too long: a module may loop for ever.
 * `name` goes into messages. @throws KitError POLICY_INVALID
 */
export async function evaluateWasm(
  name: string,
  module: { readonly wasm: Uint8Array; readonly data?: string | undefined },
  input: string,
  {
    entrypoints,
    signal,
    milliseconds = MAX_MILLISECONDS,
    pages = MAX_PAGES,
  }: Pick<CallOptions, 'signal'> & {
    readonly entrypoints?: readonly string[] | undefined;
    readonly milliseconds?: number;
    /** Of memory, 64 KiB each. */
    readonly pages?: number;
  } = {},
): Promise<RegoResults> {
  const { Worker } = await import('node:worker_threads');
  const interpreter = createRequire(import.meta.url).resolve('@open-policy-agent/opa-wasm');
  const workerData: RegoJob = { interpreter, wasm: module.wasm, data: module.data, input, entrypoints, maxPages: pages };
  // from its text, so that it is found however this program is bundled; what it prints is nobody's
  const worker = new Worker(`(${threadMain.toString()})()`, {
    eval: true,
    execArgv: [],
    env: {},
    name: 'rego',
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    workerData,
  });
  let timer: NodeJS.Timeout | undefined;
  const over = new AbortController();
  const refuse = (why: string, cause?: unknown): KitError =>
    new KitError('POLICY_INVALID', `the policy ${name} cannot be evaluated: ${why}`, {
      hint: 'make it again with `opa build -t wasm -e PACKAGE/deny FILE`; `kit policy input REFERENCE` shows what it is given',
      cause,
    });
  try {
    return await new Promise<RegoResults>((resolve, reject) => {
      timer = setTimeout(() => reject(refuse(`it takes longer than ${milliseconds / 1000} s`)), milliseconds);
      const stop = (): void => reject(signal?.reason as Error);
      signal?.addEventListener('abort', stop, { signal: over.signal });
      if (signal?.aborted === true) stop();
      worker.once('message', (answer: { results?: RegoResults; problem?: string }) =>
        answer.results === undefined ? reject(refuse(answer.problem ?? 'it gives nothing')) : resolve(answer.results),
      );
      worker.once('error', (error: Error) => reject(refuse(error.message, error)));
      worker.once('exit', () => reject(refuse('its thread ended')));
    });
  } finally {
    clearTimeout(timer);
    over.abort();
    await worker.terminate();
  }
}

/** Runs in the thread, on its own: nothing outside of it can be named. */
function threadMain(): void {
  const { createRequire: require } = process.getBuiltinModule('node:module');
  const thread: { readonly parentPort: { postMessage(answer: unknown): void } | null; readonly workerData: unknown } =
    process.getBuiltinModule('node:worker_threads');
  const { interpreter, wasm, data, input, entrypoints, maxPages } = thread.workerData as RegoJob;
  const load = require(interpreter);
  const { loadPolicy } = load(interpreter) as typeof Interpreter;
  const { now } = JSON.parse(input) as { now?: string };
  // of the functions that the interpreter lacks, those about time: the clock is that of the document
  const builtins = {
    'time.now_ns': () => Date.parse(now ?? new Date().toISOString()) * 1e6,
    'time.parse_rfc3339_ns': (text: string) => Date.parse(text) * 1e6,
  };
  const run = async (): Promise<Record<string, unknown>> => {
    const policy = await loadPolicy(wasm, { initial: 5, maximum: maxPages }, builtins);
    if (data !== undefined) policy.setData(JSON.parse(data) as object);
    const all = Object.keys(policy.entrypoints as Record<string, number>);
    const usual = all.filter((name) => /\/(?:deny|violation|allow)$/.test(name));
    const wanted = entrypoints ?? (usual.length > 0 ? usual : all);
    const value: unknown = JSON.parse(input);
    return Object.fromEntries(wanted.map((name) => [name, (policy.evaluate(value, name) as { readonly result: unknown }[])[0]?.result]));
  };
  run().then(
    (results) => thread.parentPort?.postMessage({ results }),
    (error: unknown) => {
      const problem = typeof error === 'string' ? error : String((error as Error | undefined)?.message ?? error);
      thread.parentPort?.postMessage({ problem });
    },
  );
}
