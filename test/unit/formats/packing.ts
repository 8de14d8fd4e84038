import { cleanLayerPath } from '../../../src/kitfile/layer-path.ts';
import { type Kitfile, kitfileEntries } from '../../../src/kitfile/types.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { type Manifest, parseManifest } from '../../../src/oci/manifest.ts';
import type {
  Artifact,
  AssembleOptions,
  AssembledArtifact,
  EntryFiles,
  PackFile,
  PackFormat,
  PackedLayer,
  PlannedLayer,
  PlanOptions,
} from '../../../src/formats/types.ts';

/** Entries of a Kitfile over these files: path to mode; a path that ends in `/` is a folder. */
export function entriesOf(kitfile: Kitfile, files: Readonly<Record<string, number>>): EntryFiles<PackFile>[] {
  const found = Object.entries(files).map(([name, mode]): PackFile => {
    const isFolder = name.endsWith('/');
    return { path: isFolder ? name.slice(0, -1) : name, type: isFolder ? 'directory' : 'file', mode, size: isFolder ? 0 : name.length };
  });
  return kitfileEntries(kitfile).map((entry) => {
    const path = cleanLayerPath(entry.path);
    return { entry, path, files: found.filter((file) => path === '.' || file.path === path || file.path.startsWith(`${path}/`)) };
  });
}

export interface Packed {
  readonly layers: readonly PlannedLayer<PackFile>[];
  readonly made: AssembledArtifact;
  readonly manifest: Manifest;
  readonly config: unknown;
  readonly warnings: readonly string[];
  /** What the same format reads in it. */
  readonly artifact: Artifact;
}

/** Packs names without content: the digest of a layer is the one of its path. */
export function packed(
  format: PackFormat,
  kitfile: Kitfile,
  files: Readonly<Record<string, number>>,
  options: Partial<PlanOptions> & AssembleOptions = {},
): Packed {
  const warnings: string[] = [];
  const warn = (code: string, message: string): void => void warnings.push(`${code} ${message}`);
  const plan = { encoding: options.encoding, compression: options.compression ?? 'none', warn };
  const layers = format.plan(entriesOf(kitfile, files), plan);
  const done = layers.map(({ entry, path, mediaType, annotations }): PackedLayer => {
    const digest = digestOf(Buffer.from(path));
    return { role: entry.role, index: entry.index, path, descriptor: { mediaType, digest, size: 1000, annotations }, diffId: digest };
  });
  const made = format.assemble(kitfile, done, options);
  const manifest = parseManifest(made.manifest, 'made');
  const config: unknown = JSON.parse(Buffer.from(made.config.bytes).toString());
  return { layers, made, manifest, config, warnings, artifact: format.read(manifest, made.config.bytes, 'made') };
}
