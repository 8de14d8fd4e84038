import type { Compression } from '../blobs/compress.ts';
import type { Kitfile, KitfileEntry, Role } from '../kitfile/types.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { JsonValue } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import type { ModelFacts } from './model-facts.ts';

export type Encoding = 'tar' | 'raw';

/** A layer as a reader finds it: what it is, and how to get at its files. */
export interface ArtifactLayer {
  /** `file` when the format does not say. */
  readonly role: Role | 'file';
  readonly name: string | undefined;
  /** The path as the Kitfile (or annotation) has it: not checked. */
  readonly path: string;
  /** The path of the Kitfile's entry that the file lies below, where one entry became several layers. */
  readonly within?: string | undefined;
  readonly descriptor: Descriptor;
  /** Undefined where the artifact does not give it. */
  readonly diffId: Digest | undefined;
  readonly encoding: Encoding;
  readonly compression: Compression;
  /** Raw: the file. Tar: the folder that its names are relative to ('' for the target). Not checked. */
  readonly target: string;
  /** Tar: the folder in the archive that stands for the target; what lies outside it belongs to something else. Clean. */
  readonly inner?: string | undefined;
  /** Permission bits of a raw layer's file. */
  readonly mode: number;
}

/** What a manifest and its config say, whatever the format. */
export interface Artifact {
  readonly format: string;
  /** Undefined where nothing in the artifact describes a model. */
  readonly kitfile: Kitfile | undefined;
  /** What the Kitfile was read from, with digest and diffId beside the entries; undefined where it was derived. */
  readonly kitfileJson?: JsonValue | undefined;
  readonly layers: readonly ArtifactLayer[];
}

/** A pure mapping between manifests and Kitfiles with layers: no I/O. */
export interface Format {
  readonly name: string;
  detect(manifest: Manifest): boolean;
  /** `config` are the verified bytes of the config blob. @throws KitError MANIFEST_INVALID | UNSUPPORTED, with `name` in the message */
  read(manifest: Manifest, config: Uint8Array, name: string): Artifact;
}

/** A file or directory that is going to be packed: what a walk finds. */
export interface PackFile {
  /** Relative to the context, with `/`. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Bytes; 0 for a directory. */
  readonly size: number;
}

/** An entry of a Kitfile with all that belongs to it, its ancestors and itself first. */
export interface EntryFiles<File extends PackFile> {
  readonly entry: KitfileEntry;
  /** The clean path of the entry. */
  readonly path: string;
  readonly files: readonly File[];
}

export interface PlanOptions {
  /** Undefined: what the format does by itself. */
  readonly encoding: Encoding | undefined;
  readonly compression: Compression;
  readonly warn: (code: string, message: string) => void;
}

/** One layer that a format makes of an entry, or of a part of one. */
export interface PlannedLayer<File extends PackFile> {
  readonly entry: KitfileEntry;
  /** The clean path of the entry, or of the one file. */
  readonly path: string;
  /** Raw: the content of the one file. */
  readonly encoding: Encoding;
  readonly compression: Compression;
  readonly mediaType: string;
  readonly annotations: Annotations;
  readonly files: readonly File[];
}

/** A layer that was packed, ready to go into a manifest. */
export interface PackedLayer {
  readonly role: Role;
  /** Position of its entry within its list of the Kitfile; several layers may share one. */
  readonly index: number;
  readonly path: string;
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed content. */
  readonly diffId: Digest;
}

export interface AssembleOptions {
  /** RFC 3339; nothing in the artifact tells the time unless it is given. */
  readonly created?: string | undefined;
  /** What the weights say of themselves; what is absent stays absent in the artifact. */
  readonly facts?: ModelFacts | undefined;
  /** For the manifest, besides those of the format. */
  readonly annotations?: Annotations | undefined;
}

export interface Blob {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** What a format adds to the layers that were packed. */
export interface AssembledArtifact {
  readonly config: Blob;
  /** Files that the format itself brings along. */
  readonly extra: readonly Blob[];
  readonly manifest: Uint8Array;
}

/** A format that artifacts can be written in. */
export interface PackFormat extends Format {
  /** Which layers the entries become, in the order of the manifest. @throws KitError UNSUPPORTED where the format has no place for them */
  plan<File extends PackFile>(entries: readonly EntryFiles<File>[], options: PlanOptions): PlannedLayer<File>[];
  /** `layers` are those planned, in that order. @throws KitError UNSUPPORTED */
  assemble(kitfile: Kitfile, layers: readonly PackedLayer[], options: AssembleOptions): AssembledArtifact;
}
