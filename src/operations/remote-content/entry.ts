import { posix } from 'node:path';
import { safePath } from '../../blobs/safe-path.ts';
import type { CallOptions } from '../../events.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { RemoteEntry } from '../../kitfile/types.ts';
import { redactUrl } from '../../registry/redact.ts';

/** Where a file of an entry goes. @throws KitError UNSAFE_PATH */
export function destinationOf(entry: RemoteEntry, path: string): string {
  return safePath(posix.join(safePath(cleanLayerPath(entry.path), describeEntry(entry)) || '.', path || '.'), entry.remotePath);
}

/** `dataset train`, `model` */
export function describeEntry({ role, name, path, index }: RemoteEntry): string {
  return role === 'model' ? 'model' : `${role} ${name ?? path ?? index}`;
}

/** The place without what its query may hold: signatures, tokens. */
export function shownPlace({ remotePath }: RemoteEntry): string {
  const url = /^https?:/.test(remotePath) ? URL.parse(remotePath) : null;
  return url === null ? remotePath : redactUrl(url);
}

/** Said by what looks at an artifact and fetches nothing. `name` is that of the artifact. */
export function warnNotFetched(name: string, entries: readonly RemoteEntry[], call: CallOptions): void {
  warnOfRemote(entries, `; \`kit unpack ${name} --include-remote\` fetches them`, call);
}

/** Content that stays elsewhere is no layer: it is neither packed nor unpacked unasked, which is said. */
export function warnOfRemote(entries: readonly RemoteEntry[], hint: string, { onEvent }: CallOptions): void {
  for (const entry of entries) {
    onEvent?.({
      type: 'warning',
      code: 'REMOTE_CONTENT',
      message: `${describeEntry(entry)} stays at ${shownPlace(entry)}: its files are not part of the ModelKit${hint}`,
    });
  }
}
