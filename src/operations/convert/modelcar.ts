import { KitError } from '../../errors.ts';
import {
  assembleModelcar,
  type BaseImage,
  hasEntrypoint,
  type IndexedManifest,
  modelcarLayer,
  modelcarModelpack,
  type Platform,
  platformOf,
  writeModelcarIndex,
} from '../../formats/modelcar-image.ts';
import { MODELS } from '../../formats/modelcar.ts';
import type { PackFile, PackedLayer } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Manifest, parseIndex, parseManifest } from '../../oci/manifest.ts';
import { ANNOTATION, isIndexType, isManifestType, MEDIA_TYPE } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Target } from '../../targets/types.ts';
import { foreignAnnotations, statedFacts } from './losses.ts';
import { mergeLayers, type NewBlob, reusedBlob } from './move.ts';
import { bringLayers, bringReused, type Conversion, type NewLayer, putArtifact, putManifest, type Written } from './output.ts';
import type { EntryLayers } from './plan.ts';
import type { TarShape } from './tar.ts';
import { isRemote } from '../transfer/copy.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';
import { openSource, type Source } from '../artifact/open-location.ts';

export interface ModelcarArguments {
  /** An image whose programs KServe's sidecar runs; none for image volumes and KServe's native mode. */
  readonly base?: Location | undefined;
  /** Lists a ModelPack over the same layers beside the images. */
  readonly withModelpack?: boolean;
  /** `os/architecture[/variant]`; default: those of the base, else linux on amd64 and arm64. */
  readonly platforms?: readonly string[] | undefined;
}

/** The base for every platform, and where its layers are. */
interface Base {
  readonly source: Source;
  readonly location: Location;
  readonly images: readonly (BaseImage & { readonly platform: Platform })[];
}

/** One layer of the new image: what it is made of. */
interface Part extends Pick<PackedLayer, 'role' | 'index' | 'path'> {
  readonly items: readonly SourcedLayer[];
}

const SCRATCH: readonly Platform[] = [
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm64' },
];
/** Container runtimes mount no more, and leave room for what an image is run with. */
const MAX_LAYERS = 120;
/** World-readable whatever it was, and owned by root: KServe's containers read it as a user that nobody knows beforehand. */
const SHAPE: TarShape = {
  root: MODELS,
  mode: ({ type, mode }: Pick<PackFile, 'type' | 'mode'>) => (type === 'directory' || (mode & 0o100) !== 0 ? 0o755 : 0o644),
  uid: 0,
};

/** Returns what writes the image, or the index of images. @throws KitError UNSUPPORTED | MANIFEST_INVALID, as openSource for the base */
export async function prepareModelcar(conversion: Conversion, args: ModelcarArguments): Promise<(target: Target) => Promise<Written>> {
  const base = args.base === undefined ? undefined : await openBase(conversion, args.base);
  const platforms = chosen(base?.images.map(({ platform }) => platform) ?? SCRATCH, args.platforms, base?.source.name);
  const below = Math.max(0, ...(base?.images ?? []).map(({ manifest }) => manifest.layers.length));
  const parts = partsOf(conversion.content.entries, MAX_LAYERS - below);
  if (parts.length === 0) {
    throw new KitError('UNSUPPORTED', `${conversion.from.name} has no files: KServe refuses an image whose /models is empty`, {
      hint: 'name files in the Kitfile',
    });
  }
  return async (target) => await write(conversion, { base, platforms, parts, withModelpack: args.withModelpack === true }, target);
}

/** A layer for each layer that there is; for each entry where that would be too many. @throws KitError LIMIT_EXCEEDED */
function partsOf(entries: readonly EntryLayers[], limit: number): Part[] {
  const single = entries.flatMap(({ entry: { role, index }, items, path }) =>
    items.map((item): Part => ({ role, index, path: items.length === 1 ? path : cleanLayerPath(item.layer.path), items: [item] })),
  );
  if (single.length <= limit) return single;
  const whole = entries.map(({ entry: { role, index }, path, items }): Part => ({ role, index, path, items }));
  if (whole.length <= limit) return whole;
  throw new KitError(
    'LIMIT_EXCEEDED',
    `${whole.length} entries of the Kitfile are ${whole.length} layers, and an image that can be run has ${limit} at most`,
    {
      hint: 'name folders instead of files in the Kitfile',
    },
  );
}

interface Image {
  readonly base: Base | undefined;
  readonly platforms: readonly Platform[];
  readonly parts: readonly Part[];
  readonly withModelpack: boolean;
}

async function write(conversion: Conversion, { base, platforms, parts, withModelpack }: Image, target: Target): Promise<Written> {
  const { artifact, content, call } = conversion;
  const layers = await moveParts(conversion, parts, target);
  await bringLayers(target, conversion, layers);
  if (base !== undefined) await bringBase(conversion, base, platforms, target);
  const options = { created: artifact.manifest.annotations?.[ANNOTATION.created], annotations: foreignAnnotations(artifact) };
  const source = artifact.descriptor.digest;
  const images: IndexedManifest[] = [];
  let manifest: Descriptor | undefined;
  for (const platform of platforms) {
    const image = base?.images.find((one) => isSame(one.platform, platform));
    const made = assembleModelcar(content.kitfile, layers, { ...options, platform, base: image, source });
    manifest = await putArtifact(target, made, layers.length, call);
    images.push({ bytes: made.manifest, platform });
  }
  if (withModelpack) {
    const { mcpServers: _, ...kitfile } = content.kitfile;
    const files = layers.filter(({ role }) => role !== 'mcpserver');
    const made = modelcarModelpack(kitfile, files, { ...options, facts: statedFacts(artifact) });
    await putArtifact(target, made, files.length, call);
    images.push({ bytes: made.manifest, platform: undefined });
  }
  if (images.length === 1 && manifest !== undefined) return { manifest, layers };
  const index = writeModelcarIndex(images, source);
  return { manifest: await putManifest(target, index.descriptor, index.bytes, call), layers };
}

async function moveParts({ kit, call }: Conversion, parts: readonly Part[], target: Target): Promise<NewLayer[]> {
  const layers: NewLayer[] = [];
  const sizes = parts.flatMap(({ items }) => items.map(({ layer }) => layer.descriptor.size));
  call.onEvent?.({ type: 'plan', blobs: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) });
  await runAll([...parts.entries()], kit.concurrency, call.signal, async ([index, part], signal) => {
    const { digest, size, diffId, reused } = await blobOf(part, target, { ...call, signal });
    const { role, index: position, path } = part;
    layers[index] = { ...modelcarLayer({ role, index: position, path, diffId, descriptor: { digest, size } }), reused };
  });
  return layers;
}

async function blobOf({ items }: Part, target: Target, call: Conversion['call']): Promise<NewBlob> {
  const [only, ...others] = items;
  const isFit = only?.layer.inner === MODELS && only.layer.compression === 'none' && others.length === 0;
  return isFit ? await reusedBlob(only, call) : await mergeLayers(items, { target, shape: SHAPE, call });
}

async function bringBase(
  conversion: Conversion,
  { source, location, images }: Base,
  platforms: readonly Platform[],
  target: Target,
): Promise<void> {
  const used = images.filter(({ platform }) => platforms.some((one) => isSame(one, platform)));
  await bringReused(target, conversion, {
    target: source.target,
    location,
    isLocal: source.isLocal,
    blobs: used.flatMap(({ manifest }) => manifest.layers),
    label: () => `base ${source.name}`,
  });
}

/** Every image that the reference stands for. @throws KitError UNSUPPORTED */
async function openBase({ kit, call }: Conversion, location: Location): Promise<Base> {
  const source = await openSource(kit, location, isRemote(location) ? 'remote' : 'local', call);
  const { target, name } = source;
  const top = await target.resolve(source.reference, call);
  const bytes = await fetchMetadata(target, top, call);
  const found = isIndexType(top.mediaType) ? parseIndex(bytes, name).manifests.filter(({ mediaType }) => isManifestType(mediaType)) : [top];
  const images: Base['images'][number][] = [];
  for (const descriptor of found) {
    const manifest = parseManifest(descriptor.digest === top.digest ? bytes : await fetchMetadata(target, descriptor, call), name);
    if (!isImage(manifest)) continue;
    const image: BaseImage = { manifest, config: await fetchMetadata(target, manifest.config, call), digest: descriptor.digest, name };
    const platform = platformOf(image);
    // the attestations that buildkit lists beside images
    if (platform.os === 'unknown') continue;
    if (hasEntrypoint(image)) {
      const message = `${name} has an entrypoint: KServe's sidecar gives arguments only, and they go to that program`;
      call.onEvent?.({ type: 'warning', code: 'BASE_ENTRYPOINT', message });
    }
    images.push({ ...image, platform });
  }
  if (images.length === 0)
    throw new KitError('UNSUPPORTED', `${name} is no container image`, {
      hint: 'give an image with a shell, such as busybox, to `--base`',
    });
  return { source, location, images };
}

const IMAGE_CONFIGS: readonly string[] = [MEDIA_TYPE.imageConfig, MEDIA_TYPE.dockerImageConfig];

function isImage({ config, artifactType }: Manifest): boolean {
  return artifactType === undefined && IMAGE_CONFIGS.includes(config.mediaType);
}

/** @throws KitError USAGE | UNSUPPORTED */
function chosen(all: readonly Platform[], wanted: readonly string[] | undefined, base: string | undefined): readonly Platform[] {
  if (wanted === undefined) return all;
  return wanted.map((text): Platform => {
    const [os, architecture, variant, ...rest] = text.split('/');
    if (!os || !architecture || rest.length > 0)
      throw new KitError('USAGE', `${text} is no platform`, { hint: 'write OS/ARCHITECTURE, for example `linux/amd64`' });
    const platform = { os, architecture, ...(variant !== undefined && { variant }) };
    const found =
      base === undefined
        ? platform
        : all.find((one) => isSame(one, platform) || (variant === undefined && one.os === os && one.architecture === architecture));
    if (found !== undefined) return found;
    throw new KitError('UNSUPPORTED', `${base ?? ''} has no image for ${text}`, { hint: `it has ${all.map(textOf).join(', ')}` });
  });
}

function isSame(a: Platform, b: Platform): boolean {
  return textOf(a) === textOf(b);
}

function textOf({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}
