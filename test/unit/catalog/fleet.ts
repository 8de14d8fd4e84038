import { type Annotations, describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseReference } from '../../../src/oci/reference.ts';
import { catalogSync, type CatalogSyncArguments, type CatalogSyncResult } from '../../../src/operations/query/catalog-sync.ts';
import { query, type QueryArguments, type QueryResult } from '../../../src/operations/query/query.ts';
import type { TestRegistry } from '../../support/registry.ts';
import { openRegistry, publish } from '../operations/remote-artifact.ts';
import { workspace, type Workspace } from '../operations/sandbox.ts';
import { llamaHeader } from '../operations/tensors-sample.ts';

type Fields = Readonly<Record<string, unknown>>;

async function putBlob(registry: TestRegistry, repository: string, mediaType: string, content: string): Promise<Descriptor> {
  const bytes = Buffer.from(content);
  await registry.addBlob(repository, bytes);
  return describe(mediaType, bytes);
}

/** A manifest; `tag` undefined: only by its digest. */
function putManifest(registry: TestRegistry, repository: string, tag: string | undefined, content: Fields): Descriptor {
  return registry.addManifest(
    repository,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, ...content })),
    tag,
  );
}

/** A ModelKit of a Kitfile, without a request. */
export async function putModel(registry: TestRegistry, name: string, kitfile: Fields, annotations?: Annotations): Promise<Descriptor> {
  const { repository, tags } = parseReference(`x.example/${name}`);
  const config = await putBlob(
    registry,
    repository,
    'application/vnd.kitops.modelkit.config.v1+json',
    JSON.stringify({ manifestVersion: '1.0.0', package: {}, ...kitfile }),
  );
  const layers = [await putBlob(registry, repository, 'application/vnd.kitops.modelkit.model.v1.tar', name)];
  return putManifest(registry, repository, tags[0], { config, layers, ...(annotations && { annotations }) });
}

export interface Fleet {
  readonly registry: TestRegistry;
  readonly work: Workspace;
  /** What matches, as references without the host. */
  readonly find: (expression: string, more?: Partial<QueryArguments>) => Promise<string[]>;
  readonly ask: (expression: string, more?: Partial<QueryArguments>) => Promise<QueryResult>;
  readonly sync: (args?: CatalogSyncArguments) => Promise<CatalogSyncResult>;
  readonly warnings: () => string[];
}

function trained(accuracy: unknown): Fields {
  return { name: 'm', path: 'w', license: 'MIT', parameters: { accuracy, epochs: 3 } };
}

/** A registry with models in several formats, an index, what is no model, and what is broken. */
export async function startFleet(): Promise<Fleet> {
  const registry = await openRegistry();
  const weights = Buffer.concat([llamaHeader('model', 3, 24), Buffer.alloc(24)]);
  await publish(registry, 'team/weights:v1', {
    Kitfile: 'manifestVersion: 1.0.0\npackage: {name: weights}\nmodel: {path: model.safetensors}\n',
    'model.safetensors': weights,
  });
  await putModel(registry, 'team/a:v1', { package: { version: '1.9.0' }, model: trained(0.9) }, { run: '7' });
  const second = await putModel(
    registry,
    'team/a:v2',
    { package: { version: '1.10.0' }, model: trained(0.97) },
    { 'org.example.run': '12' },
  );
  registry.addManifest('team/a', registry.storage.repository('team/a').manifests.get(second.digest)?.bytes ?? Buffer.alloc(0), 'latest');
  await putModel(registry, 'deep/er/b:v1', {
    model: { ...trained('0.99'), license: 'Apache-2.0' },
    datasets: [
      { name: 'x', path: 'd' },
      { name: 'y', path: 'e' },
    ],
  });
  await putIndex(registry);
  await putOmlmd(registry);
  await putOthers(registry);
  registry.clear();
  const work = workspace();
  const ask: Fleet['ask'] = async (expression, more = {}) =>
    await query(work.kit, { expression, ...(more.catalog === undefined && { references: [registry.host] }), ...more }, work.call);
  return {
    registry,
    work,
    ask,
    find: async (expression, more) => {
      const { models } = await ask(expression, more);
      return models.map(({ reference }) => (reference as string).replace(`${registry.host}/`, ''));
    },
    sync: async (args = {}) => await catalogSync(work.kit, args, work.call),
    warnings: () => work.events.flatMap((event) => (event.type === 'warning' ? [event.message.replaceAll(registry.host, 'HOST')] : [])),
  };
}

async function putIndex(registry: TestRegistry): Promise<void> {
  const members: Descriptor[] = [];
  for (const quantization of ['Q4', 'Q8']) {
    const { mediaType, digest, size } = await putModel(registry, 'team/variants', {
      model: { name: 'v', path: 'w', parameters: { quantization } },
    });
    members.push({ mediaType, digest, size, annotations: { quantization }, modelMetadata: { quantization, 'vram-gb': 6 } } as Descriptor);
  }
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, artifactType: MEDIA_TYPE.modelIndex, manifests: members };
  registry.addManifest('team/variants', Buffer.from(JSON.stringify(index)), 'v1', MEDIA_TYPE.imageIndex);
}

function titled(descriptor: Descriptor, title: string): Descriptor {
  return { ...descriptor, annotations: { 'org.opencontainers.image.title': title } };
}

async function putOmlmd(registry: TestRegistry): Promise<void> {
  const metadata = JSON.stringify({ name: 'o', customProperties: { accuracy: 0.5, f1: 0.4 } });
  const config = await putBlob(registry, 'team/o', 'application/x-config', metadata);
  const model = await putBlob(registry, 'team/o', 'application/x-mlmodel', 'weights');
  putManifest(registry, 'team/o', 'v1', { config, layers: [titled(model, 'm.bin'), titled(config, 'model_metadata.omlmd.json')] });
}

async function putOthers(registry: TestRegistry): Promise<void> {
  const config = await putBlob(registry, 'apps/web', MEDIA_TYPE.imageConfig, '{"os":"linux"}');
  putManifest(registry, 'apps/web', 'v1', { config, layers: [] });
  putManifest(registry, 'apps/web', `sha256-${'a'.repeat(64)}.sig`, { config, layers: [config] });
  const missing = describe('application/vnd.kitops.modelkit.config.v1+json', Buffer.from('{"never":"pushed"}'));
  putManifest(registry, 'apps/broken', 'v1', { config: missing, layers: [] });
}
