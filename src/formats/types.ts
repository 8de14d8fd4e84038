import type { Compression } from '../blobs/compress.ts';
import type { Kitfile, Role } from '../kitfile/types.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';

export type Encoding = 'tar' | 'raw';

/** A layer that was packed, ready to go into a manifest. */
export interface PackedLayer {
  readonly role: Role;
  /** Position within its list of the Kitfile. */
  readonly index: number;
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed content. */
  readonly diffId: Digest;
}

/** A layer as a reader finds it: what it is, and how to get at its files. */
export interface ArtifactLayer {
  /** `file` when the format does not say. */
  readonly role: Role | 'file';
  readonly name: string | undefined;
  /** The path as the Kitfile (or annotation) has it: not checked. */
  readonly path: string;
  readonly descriptor: Descriptor;
  /** Undefined where the artifact does not give it. */
  readonly diffId: Digest | undefined;
  readonly encoding: Encoding;
  readonly compression: Compression;
  /** Raw: the file. Tar: the folder that its names are relative to ('' for the target). Not checked. */
  readonly target: string;
  /** Permission bits of a raw layer's file. */
  readonly mode: number;
}

/** What a manifest and its config say, whatever the format. */
export interface Artifact {
  readonly format: string;
  /** Undefined where nothing in the artifact describes a model. */
  readonly kitfile: Kitfile | undefined;
  readonly layers: readonly ArtifactLayer[];
}

export interface AssembleOptions {
  readonly annotations: Annotations;
}

/** A pure mapping between manifests and Kitfiles with layers: no I/O. */
export interface Format {
  readonly name: string;
  detect(manifest: Manifest): boolean;
  /** `config` are the verified bytes of the config blob. @throws KitError MANIFEST_INVALID, with `name` in the message */
  read(manifest: Manifest, config: Uint8Array, name: string): Artifact;
}

/** A format that artifacts can be packed in. */
export interface PackFormat extends Format {
  readonly configMediaType: string;
  layerMediaType(role: Role, encoding: Encoding, compression: Compression): string;
  /** Annotations of a layer, given the clean path of its entry. */
  layerAnnotations(role: Role, path: string, file: { readonly mode: number; readonly size: number } | undefined): Annotations;
  assembleConfig(kitfile: Kitfile, layers: readonly PackedLayer[]): Uint8Array;
  assembleManifest(config: Descriptor, layers: readonly PackedLayer[], options: AssembleOptions): Uint8Array;
}
