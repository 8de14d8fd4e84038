import { createHash } from 'node:crypto';
import * as z from 'zod';
import { unsafeReason } from '../blobs/safe-path.ts';
import { compareBytes } from '../oci/json.ts';
import { parseJson } from './parse-json.ts';
import { notAccepted } from './requirement.ts';

/** Predicate type of a signature over the files of a model (OpenSSF Model Signing v1.0, section 5.1). */
export const OMS_PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
/** What the file beside a model is called. */
export const OMS_FILE = 'model.sig';
/** Left out of every model, at its top (section 6.2). */
const ALWAYS_IGNORED = ['.git', '.gitattributes', '.github', '.gitignore'] as const;

/** Files of a model by path, with the SHA-256 of each in hex. */
export type ModelFiles = ReadonlyMap<string, string>;

/** What a model signature says, once it is authenticated. */
export interface SignedModel {
  readonly files: ModelFiles;
  /** Files and folders that it leaves out, those that are always left out included. */
  readonly ignored: readonly string[];
  /** True: a link counts as the file that it points to. False: there must be none. */
  readonly allowSymlinks: boolean;
}

/** True for a path that is one of `ignored` or lies below one. */
export function isIgnored(path: string, ignored: readonly string[]): boolean {
  return ignored.some((one) => path === one || path.startsWith(`${one}/`));
}

/** `paths` and those that are always left out. */
export function withAlwaysIgnored(paths: readonly string[]): string[] {
  return [...new Set([...ALWAYS_IGNORED, ...paths])].toSorted(compareBytes);
}

/** The statement over `files`, none of which may be ignored. `name` is for people. */
export function omsStatement(name: string, files: ModelFiles, ignored: readonly string[]): string {
  // code point order (section 5.2.1) is the order of the UTF-8 bytes
  const sorted = [...files].toSorted(([one], [other]) => compareBytes(one, other));
  const root = rootDigest(sorted.map(([, digest]) => digest));
  return JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name, digest: { sha256: root } }],
    predicateType: OMS_PREDICATE_TYPE,
    predicate: {
      resources: sorted.map(([path, digest]) => ({ name: path, algorithm: 'sha256', digest })),
      serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false, ignore_paths: ignored },
    },
  });
}

/** Section 6.5.1: over the digests themselves, in order. */
function rootDigest(digests: readonly string[]): string {
  const hash = createHash('sha256');
  for (const digest of digests) hash.update(Buffer.from(digest, 'hex'));
  return hash.digest('hex');
}

const resourceSchema = z.looseObject({ name: z.string(), digest: z.string(), algorithm: z.string() });
const statementSchema = z.looseObject({
  _type: z.literal('https://in-toto.io/Statement/v1'),
  predicateType: z.literal(OMS_PREDICATE_TYPE),
  subject: z.array(z.looseObject({ digest: z.looseObject({ sha256: z.string() }) })).length(1),
  predicate: z.looseObject({
    resources: z.array(resourceSchema).min(1),
    serialization: z.looseObject({
      method: z.string(),
      hash_type: z.string(),
      allow_symlinks: z.boolean(),
      ignore_paths: z.array(z.string()).nullish(),
    }),
  }),
});

/** What an authenticated statement says. @throws KitError SIGNATURE_INVALID for one that is malformed, unsafe or not supported */
export function parseSignedModel(payload: Uint8Array): SignedModel {
  const { subject, predicate } = parseJson(statementSchema, payload, 'its model signature');
  const { method, hash_type: algorithm, allow_symlinks: allowSymlinks, ignore_paths: ignorePaths } = predicate.serialization;
  if (method !== 'files') throw notAccepted(`it signs parts of files (\`${method}\`), and only signatures over whole files are supported`);
  if (algorithm !== 'sha256') throw notAccepted(`its files are hashed with \`${algorithm}\`, and only sha256 is supported`);
  const files = new Map<string, string>();
  for (const { name, digest, algorithm: own } of predicate.resources) {
    requireCanonical(name);
    if (own !== algorithm) throw notAccepted(`it gives ${JSON.stringify(name)} a digest of the algorithm \`${own}\``);
    if (!/^[0-9a-f]{64}$/.test(digest)) throw notAccepted(`it gives ${JSON.stringify(name)} a digest that is none`);
    if (files.has(name)) throw notAccepted(`it names ${JSON.stringify(name)} twice`);
    files.set(name, digest);
  }
  if (rootDigest([...files.values()]) !== subject[0]?.digest.sha256) throw notAccepted('its root digest is not that of the files it names');
  return { files, ignored: withAlwaysIgnored((ignorePaths ?? []).map(ignoredPath)), allowSymlinks };
}

/** Section 6.1.2. */
function requireCanonical(path: string): void {
  const segments = path.split('/');
  const why = unsafeReason(path) ?? (segments.includes('') || segments.includes('.') ? 'is not in canonical form' : undefined);
  if (why !== undefined) throw notAccepted(`it names the path ${JSON.stringify(path)}, which ${why}`);
}

function ignoredPath(path: string): string {
  const clean = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  if (clean.length === 0) throw notAccepted('it ignores the whole model');
  return clean.join('/');
}

/** In what `actual` differs from what was signed: the first few, by path. Empty when nothing does. */
export function compareModel(signed: ModelFiles, actual: ModelFiles, { ignoreUnsigned = false } = {}): string[] {
  const differences = [...signed].flatMap(([path, digest]) => {
    const found = actual.get(path);
    return found === undefined ? [`${path} is missing`] : found === digest ? [] : [`${path} was changed`];
  });
  if (!ignoreUnsigned) for (const path of actual.keys()) if (!signed.has(path)) differences.push(`${path} was not signed`);
  return differences;
}

const SHOWN = 10;

/** @throws KitError SIGNATURE_INVALID */
export function requireModel(signed: ModelFiles, actual: ModelFiles, options: { readonly ignoreUnsigned?: boolean }): void {
  const differences = compareModel(signed, actual, options);
  if (differences.length === 0) return;
  const more = differences.length > SHOWN ? ` and ${differences.length - SHOWN} more` : '';
  throw notAccepted(`the files are not those that were signed: ${differences.slice(0, SHOWN).join(', ')}${more}`);
}
