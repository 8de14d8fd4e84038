import { onTestFinished } from 'vitest';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { type Location, parseLocation } from '../../../src/oci/reference.ts';
import type { PackArguments } from '../../../src/operations/pack/pack.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../../support/registry.ts';
import { workspace } from './sandbox.ts';

export async function openRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const registry = await startRegistry(options);
  onTestFinished(async () => await registry.close());
  return registry;
}

/** Packs files with a Kitfile straight into the registry, and forgets the requests. */
export async function publish(
  registry: TestRegistry,
  name: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  options: Partial<PackArguments> = {},
): Promise<Location> {
  const packer = workspace();
  packer.write(Object.fromEntries(Object.entries(files).map(([path, content]) => [`in/${path}`, content])));
  const destination = parseLocation(`${registry.host}/${name}`);
  await pack(packer.kit, { directory: packer.path('in'), destination, push: true, ...options });
  registry.clear();
  return destination;
}

/** A kit that reads every blob over one connection: on a busy machine a large one could get more, and the count of requests with it. */
export function steadyKit(): Kit {
  const kit = createKit({ home: workspace().home, env: {}, network: { plainHttp: true, ranges: { minRest: Number.MAX_SAFE_INTEGER } } });
  onTestFinished(async () => await kit.close());
  return kit;
}

const IMAGE_LAYER = 'application/vnd.oci.image.layer.v1.tar';

/** An image of layers as they are given. */
export async function publishImage(registry: TestRegistry, name: string, ...layers: readonly Uint8Array[]): Promise<Location> {
  const config = Buffer.from('{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}');
  const descriptors: Descriptor[] = layers.map((bytes) => describe(IMAGE_LAYER, bytes));
  for (const bytes of [config, ...layers]) await registry.addBlob(name, bytes);
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: descriptors,
  };
  registry.addManifest(name, Buffer.from(JSON.stringify(manifest)), 'v1');
  registry.clear();
  return parseLocation(`${registry.host}/${name}:v1`);
}

/** What was asked of blobs: how often, and how many bytes by the ranges of the requests; a request without one counts as `whole`. */
export function blobTraffic(registry: TestRegistry): { readonly ranges: number; readonly bytes: number; readonly whole: number } {
  const asked = registry.requests.filter(({ path, method }) => method === 'GET' && path.includes('/blobs/'));
  const ranges = asked.flatMap(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []).filter((text) => /^\d+$/.test(text));
  let bytes = 0;
  for (let at = 0; at < ranges.length; at += 2) bytes += Number(ranges[at + 1]) - Number(ranges[at]) + 1;
  return { ranges: ranges.length / 2, bytes, whole: asked.length - ranges.length / 2 };
}
