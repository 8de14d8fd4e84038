import { open } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { decompress } from '../../blobs/compress.ts';
import { asPathError } from '../../blobs/path-error.ts';
import { TarReader } from '../../blobs/tar-reader.ts';
import { KitError } from '../../errors.ts';
import type { Query } from '../../policy/condition.ts';
import { MAX_POLICY_BYTES, parsePolicy } from '../../policy/parse-policy.ts';
import type { Policy } from '../../policy/schema.ts';

/** A rule in Rego, ready to be evaluated. */
export type RegoModule = {
  readonly rule: string;
  readonly file: string;
  readonly inputs: NonNullable<Policy['rego']>[number]['inputs'];
} & (
  | { readonly type: 'source' }
  | {
      readonly type: 'wasm';
      readonly wasm: Uint8Array;
      readonly data: string | undefined;
      readonly entrypoints: readonly string[] | undefined;
    }
);

/** A policy with all that belongs to it. */
export interface OpenPolicy {
  readonly name: string;
  readonly file: string;
  readonly mode: 'enforce' | 'warn';
  readonly policy: Policy;
  /** Paths of files in the policy are relative to it. */
  readonly directory: string;
  readonly rego: readonly RegoModule[];
}

const REGO = /\.(?:rego|wasm|tar\.gz|tgz)$/;
const MAX_MODULE_BYTES = 64 * 1024 * 1024;

/** JSONPath (RFC 9535). */
export async function loadQuery(): Promise<Query> {
  const { query } = await import('jsonpath-rfc9535');
  return (document, path) => query(document as Parameters<typeof query>[0], path);
}

/** A policy in YAML, or one rule in Rego: source, module or bundle. @throws KitError POLICY_INVALID | PATH_NOT_FOUND | PATH_UNREADABLE */
export async function openPolicy(file: string): Promise<OpenPolicy> {
  const directory = dirname(resolve(file));
  if (REGO.test(file)) {
    const name = basename(file).replace(REGO, '');
    const rego = await openRego({ file: basename(file), entrypoints: undefined, inputs: undefined }, directory, file);
    return { name, file, mode: 'enforce', policy: { version: '1', name }, directory, rego: [rego] };
  }
  const text = await readLimited(file, MAX_POLICY_BYTES);
  const policy = parsePolicy(text.toString('utf8'), file, await loadQuery());
  const rego: RegoModule[] = [];
  for (const one of policy.rego ?? []) rego.push(await openRego(one, directory, resolve(directory, one.file)));
  return { name: policy.name, file, mode: policy.mode ?? 'enforce', policy, directory, rego };
}

async function openRego(
  { file, entrypoints, inputs }: NonNullable<Policy['rego']>[number],
  directory: string,
  shown: string,
): Promise<RegoModule> {
  const path = resolve(directory, file);
  const common = { rule: `rego.${basename(file).replace(REGO, '')}`, file: path, inputs };
  const bytes = await readLimited(path, MAX_MODULE_BYTES);
  if (file.endsWith('.rego')) {
    if (entrypoints === undefined) return { ...common, type: 'source' };
    throw new KitError('POLICY_INVALID', `${shown}: entrypoints are those of a compiled module`, {
      hint: 'leave them out for a .rego file',
    });
  }
  if (file.endsWith('.wasm')) return { ...common, type: 'wasm', wasm: bytes, data: undefined, entrypoints };
  if (!REGO.test(file)) {
    throw new KitError('POLICY_INVALID', `${shown} is no policy in Rego by its name`, {
      hint: 'a .rego file, a .wasm module or a bundle (.tar.gz) of `opa build -t wasm`',
    });
  }
  return { ...common, type: 'wasm', ...(await readBundle(bytes, shown)), entrypoints };
}

/** The module and the data of a bundle. @throws KitError POLICY_INVALID */
async function readBundle(bytes: Buffer, file: string): Promise<{ readonly wasm: Uint8Array; readonly data: string | undefined }> {
  const members = new Map<string, Buffer>();
  try {
    const tar = new TarReader(limited(decompress(once(bytes), 'gzip', file), file), file);
    for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
      const name = entry.path.replace(/^[./]+/, '');
      if (name === 'policy.wasm' || name === 'data.json') members.set(name, await content(tar.content()));
    }
  } catch (cause) {
    if (!(cause instanceof KitError) || cause.code === 'POLICY_INVALID') throw cause;
    throw new KitError('POLICY_INVALID', `${file} is no bundle of OPA: ${cause.message}`, {
      hint: 'make it again with `opa build -t wasm`',
      cause,
    });
  }
  const wasm = members.get('policy.wasm');
  if (wasm !== undefined) return { wasm, data: members.get('data.json')?.toString('utf8') };
  throw new KitError('POLICY_INVALID', `${file} is a bundle without policy.wasm`, {
    hint: 'make it with `opa build -t wasm -e PACKAGE/deny FILE`',
  });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* limited(bytes: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<Uint8Array> {
  let left = MAX_MODULE_BYTES;
  for await (const chunk of bytes) {
    left -= chunk.byteLength;
    if (left < 0) throw tooLarge(file, MAX_MODULE_BYTES);
    yield chunk;
  }
}

async function content(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** @throws KitError POLICY_INVALID when it is larger */
export async function readLimited(file: string, limit: number): Promise<Buffer> {
  try {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    if (size > limit) throw tooLarge(file, limit);
    return await handle.readFile();
  } catch (error) {
    throw asPathError(error, file);
  }
}

function tooLarge(file: string, limit: number): KitError {
  return new KitError('POLICY_INVALID', `${file} is larger than ${limit / 1024 / 1024} MiB`, {
    hint: 'check that this is the file that is meant',
  });
}
