import { CODES, KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type Manifest, parseManifest } from '../oci/manifest.ts';
import { isManifestType, MEDIA_TYPE } from '../oci/media-types.ts';
import { plainText } from '../registry/redact.ts';
import { BUNDLE_TYPE_PREFIX, requireBundle } from './bundle.ts';
import { notAccepted, type SignatureRequirement } from './requirement.ts';
import { legacySignatureTag, requireSimpleSigning, SIMPLE_SIGNING_TYPE } from './simple-signing.ts';

/** Where signatures are looked for. What it reads is checked against size and digest, and never large. */
export interface SignatureSource {
  /** Manifests that name `subject` as theirs. */
  referrers(subject: Descriptor): AsyncIterable<Descriptor>;
  /** Undefined when there is no such tag. */
  resolve(tag: string): Promise<Descriptor | undefined>;
  read(blob: Descriptor): Promise<Uint8Array>;
}

/** What became of one signature. */
export interface SignatureReport {
  /** A sigstore bundle that refers to the manifest, or a layer under cosign's older tag. */
  readonly kind: 'bundle' | 'legacy';
  /** Of the manifest that refers (bundle), of the signed payload (legacy). */
  readonly digest: Digest;
  readonly accepted: boolean;
  /** Why it is not accepted. */
  readonly reason?: string;
}

/** Whoever may push can attach more: these stop a list that was made to keep us busy. Cosign reads as many. */
const MAX_SIGNATURES = 1000;
const MAX_REFERRERS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Checks every signature of the manifest `subject`: sigstore bundles first, then cosign's older format. One that is damaged,
 * missing or about something else is reported, not thrown. @throws KitError LIMIT_EXCEEDED, and what `source` throws
 */
export async function* checkSignatures(
  source: SignatureSource,
  subject: Descriptor,
  requirement: SignatureRequirement,
): AsyncGenerator<SignatureReport, void, undefined> {
  const bounded = new BoundedSource(source, subject.digest);
  yield* checkBundles(bounded, subject, requirement);
  yield* checkLegacy(bounded, subject, requirement);
}

async function* checkBundles(
  source: BoundedSource,
  subject: Descriptor,
  requirement: SignatureRequirement,
): AsyncGenerator<SignatureReport> {
  for await (const referrer of source.referrers(subject)) {
    if (!mayHoldBundle(referrer)) continue;
    source.next();
    const verdict = await judge(async () => await isAcceptedReferrer(source, referrer, requirement));
    if (verdict !== undefined) yield { kind: 'bundle', digest: referrer.digest, ...verdict };
  }
}

/** Lists leave the type out or give the config's instead, so only a type that says something else rules a referrer out. */
function mayHoldBundle({ mediaType, artifactType }: Descriptor): boolean {
  if (!isManifestType(mediaType)) return false;
  const type = artifactType ?? '';
  return type === '' || type === MEDIA_TYPE.emptyJson || type === MEDIA_TYPE.imageConfig || type.startsWith(BUNDLE_TYPE_PREFIX);
}

/** False for a referrer that is no bundle. */
async function isAcceptedReferrer(source: BoundedSource, referrer: Descriptor, requirement: SignatureRequirement): Promise<boolean> {
  const manifest = parseManifest(await source.read(referrer), referrer.digest);
  const [layer, ...others] = manifest.layers;
  if (layer === undefined || others.length > 0 || !layer.mediaType.startsWith(BUNDLE_TYPE_PREFIX)) {
    if (manifest.artifactType?.startsWith(BUNDLE_TYPE_PREFIX) !== true) return false;
    throw notAccepted('its manifest does not hold exactly one sigstore bundle');
  }
  requireBundle(await source.read(layer), requirement);
  return true;
}

async function* checkLegacy(
  source: BoundedSource,
  subject: Descriptor,
  requirement: SignatureRequirement,
): AsyncGenerator<SignatureReport> {
  const tag = legacySignatureTag(subject.digest);
  const list = tag === undefined ? undefined : await source.resolve(tag);
  if (list === undefined) return;
  let manifest: Manifest | undefined;
  const broken = await judge(async () => {
    manifest = parseManifest(await source.read(list), list.digest);
    return false;
  });
  if (broken !== undefined) yield { kind: 'legacy', digest: list.digest, ...broken };
  for (const layer of manifest?.layers ?? []) {
    if (layer.mediaType !== SIMPLE_SIGNING_TYPE) continue;
    source.next();
    const verdict = await judge(async () => {
      requireSimpleSigning(await source.read(layer), layer.annotations ?? {}, requirement);
      return true;
    });
    if (verdict !== undefined) yield { kind: 'legacy', digest: layer.digest, ...verdict };
  }
}

type Verdict = Pick<SignatureReport, 'accepted' | 'reason'>;

/** Undefined when `check` finds nothing to judge. What is wrong with the signature itself becomes the reason; all else is thrown. */
async function judge(check: () => Promise<boolean>): Promise<Verdict | undefined> {
  try {
    return (await check()) ? { accepted: true } : undefined;
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    if (CODES[error.code].exit !== 'integrity' && error.code !== 'REFERENCE_NOT_FOUND') throw error;
    return { accepted: false, reason: plainText(error.message) };
  }
}

/** Counts what is read from a source. */
class BoundedSource implements SignatureSource {
  readonly #source: SignatureSource;
  readonly #subject: Digest;
  #signatures = 0;
  #bytes = 0;

  constructor(source: SignatureSource, subject: Digest) {
    this.#source = source;
    this.#subject = subject;
  }

  /** To be called before each signature. @throws KitError LIMIT_EXCEEDED */
  next(): void {
    this.#signatures += 1;
    if (this.#signatures > MAX_SIGNATURES) throw this.#exceeded(`more than ${MAX_SIGNATURES} signatures`);
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
