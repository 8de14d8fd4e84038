import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallOptions } from '../../events.ts';
import { isCommit } from '../../hub/commit.ts';
import { type Digest, digestHex } from '../../oci/digest.ts';
import type { Kit } from '../kit.ts';
import { keepRecord } from './keep-record.ts';

/** The commit of a git work tree that something was packed in, as this machine noted it. Whether the tree was clean nobody asked. */
export interface SourceRecord {
  readonly commit: string;
  /** URL of `origin`, without credentials. */
  readonly remote?: string;
  /** The directory, relative to the top of the tree. */
  readonly path?: string;
  /** RFC 3339. */
  readonly when: string;
}

/** A record as it is kept. */
interface KeptRecord extends SourceRecord {
  /** The manifest was put somewhere else than into local storage: the record does not go with what is there. */
  readonly elsewhere?: true;
}

/** Records by the digest of the manifest. */
export function sourceRecords(home: string): string {
  return join(home, 'sources');
}

/** Notes what a manifest was packed from. Nothing depends on it: where it cannot be written it is left out. */
export async function rememberSource(kit: Kit, manifest: Digest, record: KeptRecord, { signal }: CallOptions): Promise<void> {
  try {
    await keepRecord(join(sourceRecords(kit.home), digestHex(manifest)), JSON.stringify(record));
  } catch {
    signal?.throwIfAborted();
  }
}

/** What this machine noted of a manifest when it packed it. */
export async function recallSource({ home }: Pick<Kit, 'home'>, manifest: Digest): Promise<SourceRecord | undefined> {
  const { elsewhere: _elsewhere, ...record } = (await readSourceRecord(join(sourceRecords(home), digestHex(manifest)))) ?? {};
  return 'commit' in record ? record : undefined;
}

const MAX_TEXT = 4096;

/** Undefined for what is no record. */
export async function readSourceRecord(file: string): Promise<KeptRecord | undefined> {
  try {
    const { commit, remote, path, when, elsewhere } = JSON.parse(await readFile(file, 'utf8')) as Readonly<Record<string, unknown>>;
    if (!isText(commit) || !isCommit(commit) || !isText(when)) return undefined;
    return {
      commit,
      ...(isText(remote) && { remote }),
      ...(isText(path) && { path }),
      when,
      ...(elsewhere === true && { elsewhere }),
    };
  } catch {
    return undefined;
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_TEXT;
}
