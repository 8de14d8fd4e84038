import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { referrersTag } from '../../../src/oci/referrers-tag.ts';
import type { RegistrySettings } from '../../../src/registry/settings.ts';
import { connect, type Connection } from '../../support/registry-client.ts';
import type { Behaviour } from '../../support/registry-behaviour.ts';

export const REPOSITORY = 'team/model';
export const TYPE = 'application/x.test';
const CONFIG = descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from('{}'));

export interface Made extends Connection {
  readonly subject: Descriptor;
  readonly tag: string;
  /** Called at each pause of the client. */
  onPause: ((count: number) => void) | undefined;
}

export async function made(behaviour: Partial<Behaviour> = { referrers: false }, network: Partial<RegistrySettings> = {}): Promise<Made> {
  let pauses = 0;
  const sleep = async () => {
    pauses += 1;
    result.onPause?.(pauses);
    await Promise.resolve();
  };
  const connection = await connect({ behaviour }, (host) => ({ sleep, registries: [{ host, ...network }] }));
  await connection.registry.addBlob(REPOSITORY, Buffer.from('{}'));
  const subject = connection.registry.addManifest(REPOSITORY, Buffer.from(JSON.stringify(manifestOf({}))), 'v1');
  const result: Made = { ...connection, subject, tag: referrersTag(subject.digest), onPause: undefined };
  return result;
}

export function manifestOf(fields: Record<string, unknown>): Record<string, unknown> {
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config: CONFIG, layers: [], ...fields };
}

export async function push(
  { target }: Made,
  fields: Record<string, unknown>,
  mediaType: string = MEDIA_TYPE.imageManifest,
): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(fields));
  const blob = descriptorOf(mediaType, bytes);
  await target.push(blob, bytesSource(bytes));
  return blob;
}

export const refer = async (to: Made, number: number, fields: Record<string, unknown> = {}) =>
  await push(to, manifestOf({ artifactType: TYPE, subject: to.subject, annotations: { number: String(number) }, ...fields }));
export const entryOf = (blob: Descriptor, number: number) => ({ ...blob, annotations: { number: String(number) }, artifactType: TYPE });

interface StoredIndex {
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Record<string, string>;
}

/** What stands under the fallback tag. */
export function listed({ registry, tag }: Made): StoredIndex | undefined {
  const stored = registry.storage.find(REPOSITORY);
  const manifest = stored?.manifests.get(stored.tags.get(tag) as Digest);
  return manifest && (JSON.parse(Buffer.from(manifest.bytes).toString()) as StoredIndex);
}

export function put(
  to: Made,
  manifests: readonly unknown[],
  more: Record<string, unknown> = {},
  mediaType: string = MEDIA_TYPE.imageIndex,
): Buffer {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests, ...more }));
  to.registry.addManifest(REPOSITORY, bytes, to.tag, mediaType);
  return bytes;
}

/** A manifest of someone else's: registries check that what an index names is there. */
export const other = ({ registry }: Made, number: number): Descriptor =>
  registry.addManifest(REPOSITORY, Buffer.from(JSON.stringify(manifestOf({ annotations: { other: String(number) } }))));
export const tagRequests = ({ registry, tag }: Made) =>
  registry.requests.filter(({ path }) => path.endsWith(tag)).map(({ method, status }) => `${method} ${status}`);

/** The next GET of the tag says `manifests` with this ETag. */
export function readOnce(to: Made, etag: string, manifests: readonly unknown[] = []): void {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests });
  const headers = { ETag: etag, 'Content-Type': MEDIA_TYPE.imageIndex };
  to.registry.behaviour.faults.push({ match: new RegExp(`^GET .*${to.tag}`), status: 200, body, headers });
}

export const conditions = ({ registry, tag }: Made) =>
  registry.requests.filter(({ method, path }) => method === 'PUT' && path.endsWith(tag)).map(({ headers }) => headers['if-match']);
