import { digestOfSource } from '../../blobs/digest-source.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { VerifiedReader } from '../../hub/verified-reader.ts';
import { WebHttp } from '../../hub/web-http.ts';
import { isModelKitReference } from '../../kitfile/layer-path.ts';
import { MAX_REMOTE_FILES } from '../../kitfile/schema.ts';
import { type Kitfile, type RemoteEntry, remoteEntries, type RemoteFileRecord } from '../../kitfile/types.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { parseLocation } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import { ContentRecord } from '../import-source/record.ts';
import type { Kit } from '../kit.ts';
import { openSource } from '../artifact/open-location.ts';
import { openRemoteContent, type ReferredFile, type RemoteContent } from './remote-content.ts';
import { describeEntry, shownPlace } from './entry.ts';

/** Characters: configs are read up to 4 MiB. */
const MAX_RECORD = 3 * 1024 * 1024;

type Found = Pick<RemoteEntry, 'remoteRevision' | 'remoteFiles'>;

/**
 * The Kitfile with what is at the places that its entries refer to: files with size and SHA-256, and the commit. A SHA-256 that the place
 * does not know is found by reading, once for each version of a file.
 * @throws KitError DIGEST_MISMATCH where `remoteHash` says something else, PATH_NOT_FOUND | DENIED | NETWORK ...
 */
export async function recordRemoteContent(kit: Kit, kitfile: Kitfile, call: CallOptions): Promise<Kitfile> {
  const entries = remoteEntries(kitfile);
  if (entries.length === 0) return kitfile;
  const http = new WebHttp(await kit.network());
  const found = new Map<string, Found>();
  try {
    for (const entry of entries) found.set(keyOf(entry), await lookUp(kit, http, entry, call));
  } finally {
    await http.close();
  }
  const { model, datasets } = kitfile;
  return {
    ...kitfile,
    ...(model && { model: { ...model, ...found.get(keyOf({ role: 'model', index: 0 })) } }),
    ...(datasets && { datasets: datasets.map((dataset, index) => ({ ...dataset, ...found.get(keyOf({ role: 'dataset', index })) })) }),
  };
}

/** For those who do not look: what the Kitfile itself says has to be enough. @throws KitError KITFILE_INVALID */
export function requireRemoteHashes(entries: readonly RemoteEntry[]): void {
  for (const entry of entries) {
    if (entry.remoteHash || isModelKitReference(entry.remotePath)) continue;
    throw new KitError('KITFILE_INVALID', `${describeEntry(entry)}: nothing would say what is at ${shownPlace(entry)}`, {
      hint: 'add its `remoteHash` to the Kitfile, or pack without `--no-verify-remote`',
    });
  }
}

function tooMany(entry: RemoteEntry, files: number): KitError {
  return new KitError('LIMIT_EXCEEDED', `${describeEntry(entry)}: ${shownPlace(entry)} has ${files} files, more than a config can list`, {
    hint: 'refer to a part of it, or to an archive of it',
  });
}

function keyOf({ role, index }: Pick<RemoteEntry, 'role' | 'index'>): string {
  return `${role}:${index}`;
}

async function lookUp(kit: Kit, http: WebHttp, entry: RemoteEntry, call: CallOptions): Promise<Found> {
  if (isModelKitReference(entry.remotePath)) {
    const source = await openSource(kit, parseLocation(entry.remotePath), 'local-first', call);
    return { remoteRevision: (await source.target.resolve(source.reference, call)).digest };
  }
  const content = await openRemoteContent(kit, http, entry, undefined, call);
  try {
    const { files, revision } = content;
    if (files.length > MAX_REMOTE_FILES) throw tooMany(entry, files.length);
    const given = givenDigest(entry, content);
    const record = new ContentRecord(kit.home);
    const remoteFiles: RemoteFileRecord[] = [];
    await runAll([...files.entries()], kit.concurrency, call.signal, async ([index, { path, file }], signal) => {
      const digest = given ?? (await digestOf(entry, { path, file }, record, { ...call, signal }));
      remoteFiles[index] = { path, size: file.size, digest };
    });
    if (JSON.stringify(remoteFiles).length > MAX_RECORD) throw tooMany(entry, files.length);
    return { remoteFiles, ...(revision !== undefined && { remoteRevision: revision }) };
  } finally {
    await content.dispose();
  }
}

/** The SHA-256 that the Kitfile gives for a single file. @throws KitError DIGEST_MISMATCH */
function givenDigest(entry: RemoteEntry, { files, revision }: RemoteContent): Digest | undefined {
  const hash = entry.remoteHash?.replace(/^"(.*)"$/s, '$1') ?? '';
  const [only, ...others] = files;
  if (hash === '' || hash === revision || only === undefined) return undefined;
  const { digest, blobId, etag } = only.file;
  if (others.length === 0) {
    if (isDigest(hash) && (digest === undefined || digest === hash)) return hash;
    if (hash === etag || hash === blobId) return undefined;
  }
  const actual = others.length === 0 ? (digest ?? etag ?? blobId) : revision;
  throw new KitError(
    'DIGEST_MISMATCH',
    `${describeEntry(entry)}: remoteHash is \`${hash}\`, but ${shownPlace(entry)} is \`${actual ?? 'several files'}\``,
    {
      hint: 'look whether that is what you mean, then correct remoteHash in the Kitfile, or leave it out: size and SHA-256 are recorded anyway',
    },
  );
}

async function digestOf(entry: RemoteEntry, { path, file }: ReferredFile, record: ContentRecord, call: CallOptions): Promise<Digest> {
  const said = file.digest ?? (await file.lookUpDigest?.(call));
  if (said !== undefined) return said;
  const stamp = file.blobId ?? file.etag;
  const key = stamp === undefined ? undefined : ContentRecord.keyOf('remote', [entry.remotePath, path, file.size, stamp]);
  const known = await record.find(key);
  if (known !== undefined) return known.digest;
  const id = `${entry.remotePath} ${path}`;
  call.onEvent?.({ type: 'blob', id, action: 'hash', label: `${describeEntry(entry)}${path === '' ? '' : ` ${path}`}`, total: file.size });
  const reader = new VerifiedReader(file);
  const source = {
    size: file.size,
    async *open() {
      for await (const chunk of reader.open({ start: 0, end: file.size }, call)) {
        call.onEvent?.({ type: 'bytes', id, delta: chunk.byteLength });
        yield chunk;
      }
    },
  };
  const found = await digestOfSource(source, call.signal);
  call.onEvent?.({ type: 'done', id, outcome: 'copied' });
  await record.add(key, found);
  return found.digest;
}
