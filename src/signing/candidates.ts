import { CODES, KitError } from '../errors.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type Manifest, parseManifest } from '../oci/manifest.ts';
import { isManifestType, MEDIA_TYPE } from '../oci/media-types.ts';
import { plainText } from '../registry/redact.ts';
import { BUNDLE_TYPE_PREFIX } from './bundle.ts';
import { ENVELOPE_TYPE } from './dsse.ts';
import { type LegacySuffix, legacyTag } from './legacy-tag.ts';
import { notAccepted } from './requirement.ts';
import { SIMPLE_SIGNING_TYPE } from './simple-signing.ts';

/** Where signatures are looked for. What it reads is checked against size and digest, and never large. */
export interface SignatureSource {
  /** Manifests that name `subject` as theirs. */
  referrers(subject: Descriptor): AsyncIterable<Descriptor>;
  /** Undefined when there is no such tag. */
  resolve(tag: string): Promise<Descriptor | undefined>;
  /** @throws KitError LIMIT_EXCEEDED beyond MAX_METADATA_BYTES for a manifest, MAX_BUNDLE_BYTES for all else */
  read(blob: Descriptor): Promise<Uint8Array>;
}

/** A bundle or envelope holds its statement in base64, and an SBOM lists every file of a model. */
export const MAX_BUNDLE_BYTES = 32 * 1024 * 1024;

/** Something that may be a signature or attestation. */
export interface Candidate {
  /** A sigstore bundle that refers to the manifest, or a layer under one of cosign's older tags. */
  readonly kind: 'bundle' | 'legacy';
  /** Of the manifest that refers (bundle), of the layer (legacy). */
  readonly digest: Digest;
  /** Bundle: the sigstore bundle. Legacy: what was signed, or the envelope of an attestation. */
  readonly bytes: Uint8Array;
  /** Legacy: of the layer. */
  readonly annotations: Annotations;
}

/** One whose bytes could not be had. */
export type Damaged = Pick<Candidate, 'kind' | 'digest'> & { readonly reason: string };

/** Whoever may push can attach more: these stop a list that was made to keep us busy. Cosign reads as many. */
const MAX_CANDIDATES = 1000;
const MAX_REFERRERS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;

const LAYER_TYPES = { sig: SIMPLE_SIGNING_TYPE, att: ENVELOPE_TYPE } as const;

/**
 * All that may be a signature of the manifest `subject` (`sig`) or an attestation (`att`): sigstore bundles first, then what stands under
 * cosign's older tag. Bundles may be either, which only their content says. One that is damaged does not end the list.
 * @throws KitError LIMIT_EXCEEDED, and what `source` throws
 */
export async function* findCandidates(
  source: SignatureSource,
  subject: Descriptor,
  suffix: keyof typeof LAYER_TYPES & LegacySuffix,
): AsyncGenerator<Candidate | Damaged, void, undefined> {
  const bounded = new BoundedSource(source, subject.digest);
  yield* findBundles(bounded, subject);
  yield* findLegacy(bounded, subject, suffix);
}

async function* findBundles(source: BoundedSource, subject: Descriptor): AsyncGenerator<Candidate | Damaged> {
  for await (const referrer of source.referrers(subject)) {
    if (!mayHoldBundle(referrer)) continue;
    source.next();
    const place = { kind: 'bundle', digest: referrer.digest } as const;
    const read = await judge(async () => await readBundle(source, referrer));
    if ('reason' in read) yield { ...place, reason: read.reason };
    else if (read.value !== undefined) yield { ...place, bytes: read.value, annotations: {} };
  }
}

/** Lists leave the type out or give the config's instead, so only a type that says something else rules a referrer out. */
function mayHoldBundle({ mediaType, artifactType }: Descriptor): boolean {
  if (!isManifestType(mediaType)) return false;
  const type = artifactType ?? '';
  return type === '' || type === MEDIA_TYPE.emptyJson || type === MEDIA_TYPE.imageConfig || type.startsWith(BUNDLE_TYPE_PREFIX);
}

/** Undefined for a referrer that is no bundle. */
async function readBundle(source: BoundedSource, referrer: Descriptor): Promise<Uint8Array | undefined> {
  const manifest = parseManifest(await source.read(referrer), referrer.digest);
  const [layer, ...others] = manifest.layers;
  if (layer !== undefined && others.length === 0 && layer.mediaType.startsWith(BUNDLE_TYPE_PREFIX)) return await source.read(layer);
  if (manifest.artifactType?.startsWith(BUNDLE_TYPE_PREFIX) !== true) return undefined;
  throw notAccepted('its manifest does not hold exactly one sigstore bundle');
}

async function* findLegacy(
  source: BoundedSource,
  subject: Descriptor,
  suffix: keyof typeof LAYER_TYPES,
): AsyncGenerator<Candidate | Damaged> {
  const tag = legacyTag(subject.digest, suffix);
  const list = tag === undefined ? undefined : await source.resolve(tag);
  if (list === undefined) return;
  const found = await judge(async (): Promise<Manifest> => parseManifest(await source.read(list), list.digest));
  if ('reason' in found) {
    yield { kind: 'legacy', digest: list.digest, reason: found.reason };
    return;
  }
  for (const layer of found.value.layers) {
    if (layer.mediaType !== LAYER_TYPES[suffix]) continue;
    source.next();
    const place = { kind: 'legacy', digest: layer.digest } as const;
    const read = await judge(async () => await source.read(layer));
    if ('reason' in read) yield { ...place, reason: read.reason };
    else yield { ...place, bytes: read.value, annotations: layer.annotations ?? {} };
  }
}

/** What is wrong with the signature itself becomes the reason; all else is thrown. */
export async function judge<T>(work: () => Promise<T>): Promise<{ readonly value: T } | { readonly reason: string }> {
  try {
    return { value: await work() };
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    if (CODES[error.code].exit !== 'integrity' && error.code !== 'REFERENCE_NOT_FOUND') throw error;
    return { reason: plainText(error.message) };
  }
}

/** Counts what is read from a source. */
class BoundedSource implements SignatureSource {
  readonly #source: SignatureSource;
  readonly #subject: Digest;
  #candidates = 0;
  #bytes = 0;

  constructor(source: SignatureSource, subject: Digest) {
    this.#source = source;
    this.#subject = subject;
  }

  /** To be called before each candidate. @throws KitError LIMIT_EXCEEDED */
  next(): void {
    this.#candidates += 1;
    if (this.#candidates > MAX_CANDIDATES) throw this.#exceeded(`more than ${MAX_CANDIDATES} signatures`);
    if (this.#bytes > MAX_BYTES) throw this.#exceeded(`more than ${MAX_BYTES} bytes of signatures`);
  }

  async *referrers(subject: Descriptor): AsyncGenerator<Descriptor> {
    let count = 0;
    for await (const referrer of this.#source.referrers(subject)) {
      count += 1;
      if (count > MAX_REFERRERS) throw this.#exceeded(`more than ${MAX_REFERRERS} referrers`);
      yield referrer;
    }
  }

  async resolve(tag: string): Promise<Descriptor | undefined> {
    return await this.#source.resolve(tag);
  }

  async read(blob: Descriptor): Promise<Uint8Array> {
    const bytes = await this.#source.read(blob);
    this.#bytes += bytes.byteLength;
    return bytes;
  }

  #exceeded(what: string): KitError {
    return new KitError('LIMIT_EXCEEDED', `${this.#subject} has ${what}: not all of them were checked`, {
      hint: 'have the superfluous ones removed from the registry',
    });
  }
}
