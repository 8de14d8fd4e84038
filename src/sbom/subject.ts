import { cleanLayerPath } from '../kitfile/layer-path.ts';
import type { Kitfile, Role } from '../kitfile/types.ts';
import type { Digest } from '../oci/digest.ts';
import type { ModelCard } from './model-card.ts';

/** All that a bill of materials is made from. */
export interface SbomSubject {
  /** Of the model: from the Kitfile, else the last part of the repository. */
  readonly name: string;
  readonly version: string | undefined;
  readonly description: string | undefined;
  /** As it is written there: an SPDX id or not. */
  readonly license: string | undefined;
  readonly authors: readonly string[];
  /** `pkg:oci/...`; undefined for what has no repository. */
  readonly purl: string | undefined;
  /** Where it is in a registry: `oci://ghcr.io/team/model:v1@sha256:...`; undefined for what lies elsewhere. */
  readonly url: string | undefined;
  /** Of the manifest. */
  readonly digest: Digest;
  /** RFC 3339, to the second, UTC. */
  readonly created: string | undefined;
  readonly kitfile: Kitfile | undefined;
  /** Sorted by path. */
  readonly files: readonly SbomFile[];
  readonly card: ModelCard | undefined;
  readonly facts: SbomFacts;
  /** The ModelKit that the model comes from. */
  readonly base: string | undefined;
  readonly tool: { readonly name: string; readonly version: string };
}

export interface SbomFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the content. */
  readonly digest: Digest;
  readonly role: Role | 'file';
  /** Digest of the layer that it is in. */
  readonly layer: Digest;
  /** Clean path of the entry of the Kitfile that it belongs to. */
  readonly entry: string;
}

/** What the weights say of themselves. */
export interface SbomFacts {
  readonly formats?: readonly string[] | undefined;
  readonly architecture?: string | undefined;
  readonly parameters?: number | undefined;
  readonly quantization?: string | undefined;
  /** Tokens. */
  readonly contextLength?: number | undefined;
}

/** A dataset that is packed, kept elsewhere, or that the model card names. */
export interface SbomDataset {
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  readonly url: string | undefined;
  readonly files: readonly SbomFile[];
  /** True where the model card says that the model was trained on it. */
  readonly isNamedByCard: boolean;
}

/** Datasets of the Kitfile in its order, then those of the card. */
export function datasetsOf({ kitfile, files, card }: Pick<SbomSubject, 'kitfile' | 'files' | 'card'>): SbomDataset[] {
  const packed = (kitfile?.datasets ?? []).map(({ name, path, description, license, remotePath }, index): SbomDataset => ({
    name: name ?? path ?? `dataset-${index + 1}`,
    description,
    license,
    url: remotePath,
    files: files.filter(({ role, entry }) => role === 'dataset' && entry === cleanLayerPath(path)),
    isNamedByCard: false,
  }));
  const named = (card?.datasets ?? []).map((name): SbomDataset => ({
    name,
    description: undefined,
    license: undefined,
    url: hubUrl('datasets/', name),
    files: [],
    isNamedByCard: true,
  }));
  return [...packed, ...named];
}

/** Where the Hugging Face hub has what a card names; undefined for what can be no such name. */
export function hubUrl(kind: 'datasets/' | '', name: string): string | undefined {
  return /^[\w.-]+(?:\/[\w.-]+)?$/.test(name) ? `https://huggingface.co/${kind}${name}` : undefined;
}
