import type { Artifact } from '../../formats/types.ts';
import { isModelKitReference } from '../../kitfile/layer-path.ts';
import { type RemoteEntry, remoteEntries } from '../../kitfile/types.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { shownPlace } from '../remote-content/entry.ts';

/** Where something that is in an artifact, or that it names, comes from. */
export interface Origin {
  readonly relation: 'dataset' | 'origin';
  readonly name: string | undefined;
  readonly description: string;
  readonly digest: Digest | undefined;
  readonly size: number | undefined;
}

const MAX_DATASETS = 200;

/** Datasets of the Kitfile, packed or elsewhere, and sources that annotations and a ModelPack's config name. Claims of whoever packed it. */
export function originsOf(annotations: Annotations | undefined, artifact: Artifact | undefined, config: Buffer | undefined): Origin[] {
  return [...datasetsOf(artifact), ...modelOf(artifact), ...sourcesOf(annotations, modelpackSource(artifact, config))];
}

function datasetsOf(artifact: Artifact | undefined): Origin[] {
  if (artifact === undefined) return [];
  const elsewhere = artifact.kitfile === undefined ? [] : remoteEntries(artifact.kitfile);
  return (artifact.kitfile?.datasets ?? []).slice(0, MAX_DATASETS).map(({ name, path }, index) => {
    const entry = elsewhere.find((one) => one.role === 'dataset' && one.index === index);
    if (entry !== undefined) return { relation: 'dataset', ...describeRemote(entry) };
    const layer = artifact.layers.find((one) => one.role === 'dataset' && (one.path === path || one.within === path));
    const isReference = layer === undefined && path !== undefined && isModelKitReference(path);
    return {
      relation: 'dataset',
      name: name ?? path,
      description: isReference ? 'dataset in another artifact' : 'dataset',
      digest: layer?.descriptor.digest,
      size: layer?.descriptor.size,
    };
  });
}

function modelOf(artifact: Artifact | undefined): Origin[] {
  const entries = artifact?.kitfile === undefined ? [] : remoteEntries(artifact.kitfile);
  return entries.filter(({ role }) => role === 'model').map((entry) => ({ relation: 'origin', ...describeRemote(entry) }));
}

/** What stays where it is, by what was found there at pack. */
function describeRemote(entry: RemoteEntry): Omit<Origin, 'relation'> {
  const { role, name, remoteFiles, remoteHash, remoteRevision } = entry;
  const [only, ...others] = remoteFiles ?? [];
  const details = [
    `${role} elsewhere`,
    ...(others.length > 0 ? [`${others.length + 1} files`] : []),
    ...(remoteRevision === undefined || isDigest(remoteRevision) ? [] : [`at revision ${remoteRevision}`]),
    ...(remoteHash === undefined ? [] : [remoteHash]),
  ];
  return {
    name: `${name === undefined ? '' : `${name}: `}${shownPlace(entry)}`,
    description: details.join(', '),
    digest: isDigest(remoteRevision) ? remoteRevision : others.length === 0 ? only?.digest : undefined,
    size: remoteFiles?.reduce((sum, { size }) => sum + size, 0),
  };
}

interface Source {
  readonly source?: string | undefined;
  readonly revision?: string | undefined;
  readonly datasets?: readonly string[];
}

/** Annotations of the image spec: where the source is, at which revision, what image it was built on. */
function sourcesOf(annotations: Annotations = {}, config: Source): Origin[] {
  const of = (name: string): string | undefined => annotations[`org.opencontainers.image.${name}`] || undefined;
  const origins: Origin[] = [];
  const add = (relation: Origin['relation'], name: string, description: string): void =>
    void origins.push({ relation, name, description, digest: undefined, size: undefined });
  const source = of('source') ?? config.source;
  const revision = of('revision') ?? config.revision;
  if (source !== undefined) add('origin', source, revision === undefined ? 'source' : `source at revision ${revision}`);
  else if (revision !== undefined) add('origin', revision, 'source revision');
  const base = of('base.name') ?? of('base.digest');
  if (base !== undefined)
    add('origin', base, `base image${of('base.digest') === undefined || of('base.name') === undefined ? '' : ` ${of('base.digest')}`}`);
  for (const dataset of (config.datasets ?? []).slice(0, MAX_DATASETS)) add('dataset', dataset, 'dataset elsewhere');
  return origins;
}

/** model-spec, config.md: `sourceURL`, `revision`, `datasetsURL`. */
function modelpackSource(artifact: Artifact | undefined, config: Buffer | undefined): Source {
  if (artifact?.format !== 'modelpack' || config === undefined) return {};
  try {
    const { descriptor } = JSON.parse(config.toString('utf8')) as { descriptor?: Readonly<Record<string, unknown>> };
    const list = descriptor?.['datasetsURL'];
    return {
      source: text(descriptor?.['sourceURL']),
      revision: text(descriptor?.['revision']),
      datasets: Array.isArray(list) ? list.flatMap((item) => text(item) ?? []) : [],
    };
  } catch {
    return {};
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
