import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import type { KitEvent } from '../../../src/events.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { promote, type PromoteArguments, type PromoteResult } from '../../../src/operations/promote/promote.ts';
import { rollback, type RollbackArguments, type RollbackResult } from '../../../src/operations/promote/rollback.ts';
import { type RemoteRepository, remoteRepository } from '../../../src/targets/remote.ts';
import type { Target } from '../../../src/targets/types.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../../support/registry.ts';
import { workspace } from './sandbox.ts';

const CONFIG = 'application/vnd.kitops.modelkit.config.v1+json';
const MODEL = 'application/vnd.kitops.modelkit.model.v1.tar';
/** Of every release: nothing here may read it. */
export const SHARED = randomBytes(100_000);

export interface Release {
  readonly manifest: Descriptor;
  readonly layer: Descriptor;
}

/** A ModelKit whose version is in its Kitfile, with one layer of its own and one that all have. */
export async function pushRelease(
  target: Target,
  version: string,
  { annotations, ...kitfile }: Readonly<Record<string, unknown>> = {},
): Promise<Release> {
  const push = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const blob = descriptorOf(mediaType, bytes);
    await target.push(blob, bytesSource(bytes));
    return blob;
  };
  const fields = {
    manifestVersion: '1.0.0',
    package: { name: 'm', version },
    model: { name: 'm', path: 'w.bin' },
    datasets: [{ path: 'data' }],
    ...kitfile,
  };
  const layer = await push(MODEL, Buffer.from(`weights ${version}`));
  const layers = [layer, await push('application/vnd.kitops.modelkit.dataset.v1.tar', SHARED)];
  const config = await push(CONFIG, Buffer.from(JSON.stringify(fields)));
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers, annotations };
  return { manifest: await push(MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest))), layer };
}

export interface ReleaseSetting {
  readonly kit: Kit;
  readonly home: string;
  readonly registry: TestRegistry;
  /** `team/model`, with the tags 1.0.0, 1.1.0 and 1.2.0. */
  readonly target: RemoteRepository;
  readonly name: string;
  readonly releases: Readonly<Record<'1.0.0' | '1.1.0' | '1.2.0', Release>>;
  readonly warnings: string[];
  readonly call: { readonly onEvent: (event: KitEvent) => void };
  /** What `tag` is on. */
  readonly at: (tag: string) => string | undefined;
  /** Between tags of the repository. */
  readonly promote: (from: string, to: string, options?: Partial<PromoteArguments>) => Promise<PromoteResult>;
  readonly rollback: (tag: string, options?: Partial<RollbackArguments>) => Promise<RollbackResult>;
}

export async function releaseSetting(options: RegistryOptions = {}): Promise<ReleaseSetting> {
  const space = workspace();
  const { home } = space;
  const kit = createKit({ home, env: { HOME: space.path('nobody') }, network: { plainHttp: true, sleep: () => Promise.resolve() } });
  const registry = await startRegistry(options);
  onTestFinished(async () => {
    await kit.close();
    await registry.close();
  });
  const target = remoteRepository(await kit.registry(), registry.host, 'team/model');
  const release = async (version: string): Promise<Release> => {
    const made = await pushRelease(target, version);
    await target.tag(made.manifest, version);
    return made;
  };
  const releases = { '1.0.0': await release('1.0.0'), '1.1.0': await release('1.1.0'), '1.2.0': await release('1.2.0') };
  const name = `${registry.host}/team/model`;
  const warnings: string[] = [];
  const call = { onEvent: (event: KitEvent): void => void (event.type === 'warning' && warnings.push(event.message)) };
  const of = (tag: string) => parseLocation(`${name}:${tag}`);
  return {
    kit,
    home,
    registry,
    target,
    name,
    releases,
    warnings,
    call,
    at: (tag) => registry.storage.find('team/model')?.tags.get(tag),
    promote: async (from, to, more = {}) => await promote(kit, { source: of(from), destination: of(to), by: 'ci', ...more }, call),
    rollback: async (tag, more = {}) => await rollback(kit, { location: of(tag), by: 'me', ...more }, call),
  };
}
