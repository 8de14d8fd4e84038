import type { CallOptions } from '../../events.ts';
import type { Encoding } from '../../formats/types.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { admitted } from '../artifact/admission.ts';
import { contentFor, type ConvertFormat, Losses } from './content.ts';
import { prepareFormat } from './format.ts';
import { type ModelcarArguments, prepareModelcar } from './modelcar.ts';
import type { Conversion } from './output.ts';
import { isRemote } from '../transfer/copy.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openDestination, openSource, withDefaultTag } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';
import { type Tally, TransferTally } from '../transfer/transfer-tally.ts';

export interface ConvertArguments {
  readonly source: Location;
  readonly destination: Location;
  readonly to: ConvertFormat;
  /** How layers are framed; default: as they are where the format takes them so. */
  readonly layerFormat?: Encoding | undefined;
  /** For Modelcars only. */
  readonly modelcar?: ModelcarArguments | undefined;
  /** Refuses to convert what the format cannot carry in full. */
  readonly strict?: boolean;
  /** A name with a registry means local storage too. */
  readonly fromLocal?: boolean;
  readonly toLocal?: boolean;
}

/** A layer of the new artifact. */
export interface ConvertedLayer {
  readonly path: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** True where the bytes of a layer of the source were taken as they are. */
  readonly reused: boolean;
}

/** The new artifact, and what moved for it. */
export interface Converted extends Tally {
  readonly source: string;
  readonly sourceDigest: Digest;
  readonly reference: string;
  readonly digest: Digest;
  readonly format: ConvertFormat;
  readonly layers: readonly ConvertedLayer[];
  /** What the source says or holds and the new artifact does not. */
  readonly lost: readonly string[];
}

/**
 * Writes an artifact in another format. Layers whose bytes fit are taken by their digests, the others are re-framed in one stream.
 * As for copy, a name with a registry is that registry, and a name without one is local storage.
 * @throws KitError UNSUPPORTED for what is no model, for what the format refuses, and with `strict` for what it cannot carry
 */
export async function convert(kit: Kit, args: ConvertArguments, call: CallOptions = {}): Promise<Converted> {
  const { source, to, strict = false } = args;
  const destination = withDefaultTag(args.destination);
  const tally = new TransferTally();
  const from = await openSource(kit, source, isRemote(source, args.fromLocal) ? 'remote' : 'local', call);
  const admit = await admission(kit, undefined, destination);
  const reference = admit === undefined ? from.reference : await admitted(from, admit, call);
  const artifact = await loadArtifact(from.target, reference, from.name, call);
  const content = contentFor(artifact, from, to);
  const losses = new Losses(content.lost, strict, from.name, to);
  losses.check();
  const toRemote = isRemote(destination, args.toLocal);
  const conversion: Conversion = { kit, from, source, destination, toRemote, artifact, content, losses, call: tally.watch(call) };
  const write =
    to === 'modelcar' ? await prepareModelcar(conversion, args.modelcar ?? {}) : await prepareFormat(conversion, to, args.layerFormat);

  await using opened = await openDestination(kit, destination, toRemote ? 'remote' : 'local');
  await using _lease = await opened.target.can.lease?.(call);
  const { manifest, layers } = await write(opened.target);
  for (const tag of opened.tags) await opened.target.tag(manifest, tag, call);
  await opened.close();
  losses.tell(call);
  return {
    source: from.name,
    sourceDigest: artifact.descriptor.digest,
    reference: formatLocation(destination),
    digest: manifest.digest,
    format: to,
    layers: layers.map(({ path, descriptor: { digest, size }, reused }) => ({ path, digest, size, reused: reused !== undefined })),
    lost: losses.all,
    ...tally.result,
  };
}
