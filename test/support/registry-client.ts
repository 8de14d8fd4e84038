import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { releaseChunk } from '../../src/chunk.ts';
import { describe as descriptorOf, type Descriptor } from '../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import type { NetworkOptions } from '../../src/registry/options.ts';
import { type RemoteRepository, remoteRepository } from '../../src/targets/remote.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from './registry.ts';

export interface Connection {
  readonly registry: TestRegistry;
  readonly client: RegistryClient;
  /** The repository `team/model`. */
  readonly target: RemoteRepository;
  /** The pauses before retries, in milliseconds: none of them is waited for. */
  readonly delays: number[];
}

/** A test registry and a client of it; both are closed when the test ends. No credentials of this machine are seen. */
export async function connect(options: RegistryOptions = {}, network: (host: string) => NetworkOptions = () => ({})): Promise<Connection> {
  const registry = await startRegistry(options);
  const delays: number[] = [];
  const sleep = (ms: number) => {
    delays.push(ms);
    return Promise.resolve();
  };
  const client = createRegistryClient({ sleep, env: { HOME: '/nonexistent' }, ...network(registry.host) });
  onTestFinished(async () => {
    await client.close();
    await registry.close();
  });
  return { registry, client, target: remoteRepository(client, registry.host, 'team/model'), delays };
}

export interface Content {
  readonly bytes: Buffer;
  readonly blob: Descriptor;
}

export function randomBlob(size: number): Content {
  const bytes = randomBytes(size);
  return { bytes, blob: descriptorOf('application/octet-stream', bytes) };
}

/** A manifest without layers; its config is already in the registry. */
export async function addEmptyManifest(registry: TestRegistry, tag?: string): Promise<Content> {
  const config = Buffer.from('{}');
  await registry.addBlob('team/model', config);
  const bytes = emptyManifest();
  return { bytes, blob: registry.addManifest('team/model', bytes, tag) };
}

export function emptyManifest(annotations: Record<string, string> = {}): Buffer {
  const config = descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType: 'application/x.test',
    config,
    layers: [],
    annotations,
  };
  return Buffer.from(JSON.stringify(manifest));
}

/** A copy: the memory of the chunks is given back, as fresh memory costs more than reading does. */
export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks = await Array.fromAsync(bytes);
  const whole = Buffer.concat(chunks);
  for (const chunk of chunks) releaseChunk(chunk);
  return whole;
}
