import { posix } from 'node:path';
import { KitError } from '../errors.ts';
import type { Role } from '../kitfile/types.ts';
import { compareBytes } from '../oci/json.ts';
import { isLicenseFile } from './file-role.ts';

const PREFIX = 'application/vnd.docker.ai.';

/** How a layer of Docker Model Runner is read and written. */
export interface DockerLayerKind {
  readonly mediaType: string;
  readonly role: Role;
  readonly encoding: 'raw' | 'tar';
  /** The name that Docker gives the file where no annotation does: `number` of `total` of its kind, from 1. */
  readonly fileName: (number: number, total: number) => string;
}

const pad = (value: number): string => String(value).padStart(5, '0');

const numbered =
  (base: string, extension: string) =>
  (number: number, total: number): string => {
    return total === 1 ? `${base}${extension}` : `${base}-${pad(number)}-of-${pad(total)}${extension}`;
  };

function kind(type: string, role: Role, fileName: DockerLayerKind['fileName'], encoding: 'raw' | 'tar' = 'raw'): DockerLayerKind {
  return { mediaType: PREFIX + type, role, encoding, fileName };
}

const GGUF = kind('gguf.v3', 'model', numbered('model', '.gguf'));
const SAFETENSORS = kind('safetensors', 'model', numbered('model', '.safetensors'));
const DDUF = kind('dduf', 'model', numbered('model', '.dduf'));
const PROJECTOR = kind('mmproj', 'modelpart', numbered('model', '.mmproj'));
const TEMPLATE = kind('chat.template.jinja', 'modelpart', numbered('template', '.jinja'));
const LICENSE = kind('license', 'docs', numbered('LICENSE', ''));
const FILE = kind('model.file', 'modelpart', numbered('file', ''));

const KINDS: readonly DockerLayerKind[] = [
  GGUF,
  SAFETENSORS,
  DDUF,
  PROJECTOR,
  TEMPLATE,
  LICENSE,
  FILE,
  // as older texts and tools have them
  kind('gguf.v3.mmproj', 'modelpart', numbered('model', '.mmproj')),
  kind('gguf.v3.lora', 'modelpart', numbered('model-lora', '.gguf')),
  // archives of v0.1, written no more
  kind('vllm.config.tar', 'modelpart', () => '', 'tar'),
  kind('dir.tar', 'modelpart', () => '', 'tar'),
];

/** Undefined for a media type that is none of Docker's. */
export function dockerLayerKind(mediaType: string): DockerLayerKind | undefined {
  return KINDS.find((candidate) => candidate.mediaType === mediaType);
}

/** What Docker takes a file for, by its name. */
function dockerKindOfFile(path: string): DockerLayerKind {
  const name = posix.basename(path).toLowerCase();
  if (name.endsWith('.mmproj') || (name.includes('mmproj') && name.endsWith('.gguf'))) return PROJECTOR;
  if (name.endsWith('.gguf')) return GGUF;
  if (name.endsWith('.safetensors')) return SAFETENSORS;
  if (name.endsWith('.dduf')) return DDUF;
  if (name.endsWith('.jinja') || name.includes('chat_template')) return TEMPLATE;
  return isLicenseFile(path) ? LICENSE : FILE;
}

/** Weights that Docker packs by themselves (v0.1), and what may accompany them; anything else makes a directory (v0.2). */
export function isSingleModel(kinds: readonly DockerLayerKind[]): boolean {
  const companions: readonly DockerLayerKind[] = [GGUF, DDUF, PROJECTOR, TEMPLATE, LICENSE];
  return kinds.includes(GGUF) !== kinds.includes(DDUF) && kinds.every((one) => companions.includes(one));
}

interface KindOfLayer<Layer> {
  readonly layer: Layer;
  readonly kind: DockerLayerKind;
}

/**
 * Layers with their kinds. Shards come in their order, since Docker counts them. Of several chat templates one is taken as such.
 * @throws KitError UNSUPPORTED for two projectors or two DDUF files
 */
export function dockerKinds<Layer extends { readonly path: string }>(layers: readonly Layer[]): KindOfLayer<Layer>[] {
  const kinds = layers.map((layer) => ({ layer, kind: dockerKindOfFile(layer.path) }));
  for (const singular of [PROJECTOR, DDUF]) {
    const paths = kinds.filter(({ kind }) => kind === singular).map(({ layer }) => layer.path);
    if (paths.length <= 1) continue;
    throw new KitError('UNSUPPORTED', `Docker Model Runner takes one \`${singular.mediaType}\` file, and there are ${paths.join(', ')}`, {
      hint: 'name one of them in the Kitfile',
    });
  }
  const templates = kinds.filter(({ kind }) => kind === TEMPLATE);
  const template = templates.find(({ layer }) => layer.path.endsWith('.jinja')) ?? templates[0];
  const shards = kinds.filter(({ kind }) => kind === GGUF).toSorted((a, b) => compareBytes(a.layer.path, b.layer.path));
  let next = 0;
  return kinds.map((one) => {
    if (one.kind === GGUF) return shards[next++] ?? one;
    return one.kind === TEMPLATE && one !== template ? { ...one, kind: FILE } : one;
  });
}
