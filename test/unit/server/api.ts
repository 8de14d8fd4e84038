import { type Descriptor, describe } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import type { TestServer } from '../../support/kit-serve.ts';

/** The error codes in the body of an answer. */
export async function codesOf(response: Response): Promise<string[]> {
  const { errors } = (await response.json()) as { errors: { code: string }[] };
  return errors.map(({ code }) => code);
}

/** A blob in one POST. */
export async function pushBlob(
  server: TestServer,
  repository: string,
  bytes: Uint8Array,
  mediaType = 'application/octet-stream',
): Promise<Descriptor> {
  const response = await fetch(`${server.url}/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, {
    method: 'POST',
    body: Buffer.from(bytes),
    headers: { 'content-type': 'application/octet-stream' },
  });
  if (response.status !== 201) throw new Error(`POST: ${response.status} ${await response.text()}`);
  return describe(mediaType, bytes);
}

export interface ManifestFields {
  readonly layer?: string;
  readonly subject?: Descriptor;
  readonly artifactType?: string;
}

/** Pushes config and layer; returns a manifest of both. */
export async function makeManifest(
  server: TestServer,
  repository: string,
  { layer = 'a layer', ...fields }: ManifestFields = {},
): Promise<Buffer> {
  const config = await pushBlob(server, repository, Buffer.from('{}'), MEDIA_TYPE.emptyJson);
  const blob = await pushBlob(server, repository, Buffer.from(layer));
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, ...fields, config, layers: [blob] }));
}

export async function putManifest(
  server: TestServer,
  repository: string,
  reference: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<Response> {
  return await fetch(`${server.url}/v2/${repository}/manifests/${reference}`, {
    method: 'PUT',
    body: Buffer.from(body),
    headers: { 'content-type': MEDIA_TYPE.imageManifest, ...headers },
  });
}

/** Config, layer and manifest under a tag. */
export async function pushArtifact(server: TestServer, repository: string, tag: string, fields: ManifestFields = {}): Promise<Descriptor> {
  const body = await makeManifest(server, repository, fields);
  const response = await putManifest(server, repository, tag, body);
  if (response.status !== 201) throw new Error(`PUT: ${response.status} ${await response.text()}`);
  return describe(MEDIA_TYPE.imageManifest, body);
}
