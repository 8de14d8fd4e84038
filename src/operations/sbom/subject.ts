import { posix } from 'node:path';
import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { isReadmeName } from '../../kitfile/file-kind.ts';
import { readFrontMatter } from '../../kitfile/front-matter.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import { summarise } from '../../model-files/summary.ts';
import { compareBytes } from '../../oci/json.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import type { Location } from '../../oci/reference.ts';
import { type ModelCard, readModelCard } from '../../sbom/model-card.ts';
import type { SbomFacts, SbomSubject } from '../../sbom/subject.ts';
import { type ArtifactFile, listFiles, unpackedLayers } from '../artifact/artifact-files.ts';
import { baseReference } from '../artifact/base-modelkit.ts';
import { atDigest } from '../artifact/references.ts';
import type { Kit } from '../kit.ts';
import { type LoadedArtifact, loadArtifact } from '../artifact/load-artifact.ts';
import type { Source } from '../artifact/open-location.ts';
import { inspectTensors } from '../tensors/tensors.ts';
import { nameWithDigest } from '../sign/verify.ts';
import { version as toolVersion } from '../version.ts';

/** Reads all that a bill of materials of an artifact is made from. `location` is where `source` was opened. */
export async function readSubject(
  kit: Kit,
  source: Source,
  location: Location,
  call: CallOptions,
): Promise<{ readonly subject: SbomSubject; readonly artifact: LoadedArtifact }> {
  const artifact = await loadArtifact(source.target, source.reference, source.name, call);
  const layers = await unpackedLayers(kit, source, artifact, call);
  const files = (await listFiles(layers, { concurrency: kit.concurrency, keep: isReadme }, call)).toSorted((one, other) =>
    compareBytes(one.path, other.path),
  );
  const { kitfile, descriptor } = artifact;
  const subject: SbomSubject = {
    ...describe(kitfile, location),
    purl: purlOf(location, descriptor.digest),
    url: urlOf(location, nameWithDigest(source.name, descriptor.digest)),
    digest: descriptor.digest,
    created: createdOf(kit, artifact),
    kitfile,
    files: files.map(({ path, size, digest, layer }) => {
      const entry = cleanLayerPath(layer.within ?? layer.path);
      return { path, size, digest, role: layer.role, layer: layer.descriptor.digest, entry };
    }),
    card: cardOf(files),
    facts: await factsOf(kit, source, atDigest(location, descriptor.digest), call),
    base: baseReference(artifact),
    tool: { name: 'ocikit', version: toolVersion().version },
  };
  return { subject, artifact };
}

function isReadme(path: string): boolean {
  return isReadmeName(posix.basename(path));
}

type Description = Pick<SbomSubject, 'name' | 'version' | 'description' | 'license' | 'authors'>;

function describe(kitfile: Kitfile | undefined, location: Location): Description {
  const { package: whole = {}, model = {} } = kitfile ?? {};
  const repository = location.type === 'reference' ? posix.basename(location.reference.repository) : '';
  return {
    name: whole.name || model.name || repository || 'model',
    version: whole.version || model.version,
    description: whole.description || model.description,
    license: model.license || whole.license,
    authors: whole.authors ?? [],
  };
}

/** A folder or a local name leads nobody else to it. */
function urlOf(location: Location, name: string): string | undefined {
  return location.type === 'reference' && location.reference.registry !== undefined ? `oci://${name}` : undefined;
}

/** https://github.com/package-url/purl-spec, type `oci`. */
function purlOf(location: Location, digest: string): string | undefined {
  if (location.type !== 'reference' || location.reference.repository === '') return undefined;
  const { repository, registry, tags } = location.reference;
  const [tag] = tags;
  const qualifiers = [
    ...(registry === undefined ? [] : [`repository_url=${encodeURIComponent(`${registry}/${repository}`).replaceAll('%2F', '/')}`]),
    ...(tag === undefined ? [] : [`tag=${encodeURIComponent(tag)}`]),
  ];
  const query = qualifiers.length === 0 ? '' : `?${qualifiers.join('&')}`;
  return `pkg:oci/${posix.basename(repository)}@${encodeURIComponent(digest)}${query}`;
}

/** What $SOURCE_DATE_EPOCH says, else what the artifact says of itself: never the time of day. */
function createdOf({ env }: Kit, { manifest, config }: LoadedArtifact): string | undefined {
  const epoch = env['SOURCE_DATE_EPOCH'];
  if (epoch !== undefined && /^\d{1,11}$/.test(epoch)) return toSeconds(Number(epoch) * 1000);
  const annotated = manifest.annotations?.[ANNOTATION.created];
  return toSeconds(annotated) ?? toSeconds(createdInConfig(config));
}

/** What the config of an image or a ModelPack says. */
export function createdInConfig(config: Buffer): string | undefined {
  try {
    const { created, descriptor } = JSON.parse(config.toString('utf8')) as { created?: unknown; descriptor?: { createdAt?: unknown } };
    const time = created ?? descriptor?.createdAt;
    return typeof time === 'string' ? time : undefined;
  } catch {
    // a config need not be JSON, nor an object
    return undefined;
  }
}

function toSeconds(time: string | number | undefined): string | undefined {
  if (time === undefined) return undefined;
  const date = new Date(time);
  const isPlain = !Number.isNaN(date.getTime()) && date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999;
  return isPlain ? date.toISOString().replace(/\.\d+Z$/, 'Z') : undefined;
}

/** Of the README nearest to the top that has front matter. */
function cardOf(files: readonly ArtifactFile[]): ModelCard | undefined {
  const readmes = files.filter(({ content }) => content !== undefined).toSorted((one, other) => depth(one) - depth(other));
  for (const { path, content } of readmes) {
    const fields = readFrontMatter(content?.toString('utf8') ?? '', path);
    if (fields !== undefined) return readModelCard(fields);
  }
  return undefined;
}

function depth({ path }: ArtifactFile): number {
  return path.split('/').length;
}

/** Headers that cannot be read say nothing. Neither do those of which no digest covers what a registry sent. */
async function factsOf(kit: Kit, { isLocal }: Source, location: Location, call: CallOptions): Promise<SbomFacts> {
  const own = call.signal === undefined ? {} : { signal: call.signal };
  try {
    const { files } = await inspectTensors(kit, location, isLocal ? 'local-first' : 'remote', own);
    const covered = files.filter(({ verified }) => verified || isLocal);
    const left = files.length - covered.length;
    if (left > 0) {
      const message = `the headers of ${left} files are left out: a part of a layer in a registry is covered by no digest (pull it first)`;
      call.onEvent?.({ type: 'warning', code: 'HEADERS_LEFT_OUT', message });
    }
    if (covered.length === 0) return {};
    const { formats, architecture, parameters, quantization, contextLength } = summarise(covered);
    return { formats, architecture, parameters: parameters > 0 ? parameters : undefined, quantization, contextLength };
  } catch (error) {
    if (!isKitError(error, 'LAYER_INVALID', 'LIMIT_EXCEEDED', 'UNSUPPORTED')) throw error;
    call.onEvent?.({ type: 'warning', code: 'HEADERS_LEFT_OUT', message: `headers are left out: ${error.message}` });
    return {};
  }
}
