import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseIndex } from '../../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import type { LegacyLayer } from '../../signing/append-legacy.ts';
import { makeBundle } from '../../signing/bundle.ts';
import { sealEnvelope } from '../../signing/dsse.ts';
import { legacyProofs } from '../../signing/legacy-material.ts';
import { SIGNATURE_ANNOTATION, SIMPLE_SIGNING_TYPE, simpleSigningPayload } from '../../signing/simple-signing.ts';
import type { Signer } from '../../signing/signer.ts';
import { SIGNATURE_PREDICATE_TYPE, signatureStatement } from '../../signing/statement.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { type Attached, attachSigned, legacyProofsFor, type SignatureFormat, wantsLegacy } from './attach-signed.ts';
import type { Kit } from '../kit.ts';
import { openSubject, type Subject } from '../artifact/open-subject.ts';

export interface SignArguments {
  readonly location: Location;
  /** See `openKeySigner`, `keylessSigner` and `witnessed`. */
  readonly signer: Signer;
  /** Signed along with the digest. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Default `both`. */
  readonly format?: SignatureFormat;
  /** The manifests of an index too, each by its own signature. */
  readonly recursive?: boolean;
  /** True: a name with a registry is looked up and signed in the store. */
  readonly local?: boolean;
  /** False: nothing is written, the bundles are only returned. Default true. */
  readonly upload?: boolean;
  /** What the older format names as the repository. Default: the one that is signed. */
  readonly identity?: string;
}

/** A manifest that was signed. */
export interface Signed extends Attached {
  /** The sigstore bundle, as JSON. */
  readonly bundle: string;
}

export interface SignResult {
  readonly reference: string;
  /** Of what the reference names. */
  readonly digest: Digest;
  readonly signed: readonly Signed[];
}

/**
 * Signs the digest of a manifest, never a tag, and puts the signature beside it. Signing again adds a signature.
 * @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | UNSUPPORTED, and those of the signer and the registry
 */
export async function sign(kit: Kit, args: SignArguments, call: CallOptions = {}): Promise<SignResult> {
  const subject = await openSubject(kit, args.location, { local: args.local ?? false, verb: 'sign' }, call);
  const all = args.recursive === true ? await withChildren(subject, call) : [subject.descriptor];
  const signed: Signed[] = [];
  for (const descriptor of all) signed.push(await signOne({ ...subject, descriptor }, args, call));
  return { reference: subject.name, digest: subject.descriptor.digest, signed };
}

async function signOne(subject: Subject, args: SignArguments, call: CallOptions): Promise<Signed> {
  const { signer, annotations = {}, format = 'both', upload = true, identity = subject.repository } = args;
  const { digest } = subject.descriptor;
  // a digest without a tag of the older format is refused before anything is signed
  const isLegacyWanted = upload && wantsLegacy(format, digest);
  const { envelope, ...signed } = await sealEnvelope(signatureStatement(digest, annotations), signer);
  const bundle = makeBundle(envelope, signed.material);
  if (!upload) return { digest, bundle: bundle.toString() };
  const fits = isLegacyWanted && legacyProofsFor(signed, format, call) !== undefined;
  const legacy = fits ? await legacyLayer(simpleSigningPayload(digest, identity, annotations), signer) : undefined;
  const contents = { bundle, predicateType: SIGNATURE_PREDICATE_TYPE, created: new Date().toISOString(), suffix: 'sig', legacy } as const;
  return { ...(await attachSigned(subject, contents, format, call)), bundle: bundle.toString() };
}

async function legacyLayer(payload: Buffer, signer: Signer): Promise<LegacyLayer> {
  const signed = await signer.sign(payload);
  const annotations = { [SIGNATURE_ANNOTATION]: signed.signature.toString('base64'), ...legacyProofs(signed) };
  return { mediaType: SIMPLE_SIGNING_TYPE, bytes: payload, annotations };
}

/** The manifest, and if it is an index those that it lists, indexes in it too; each once. */
async function withChildren({ target, descriptor: root }: Subject, call: CallOptions): Promise<Descriptor[]> {
  const found = new Map<Digest, Descriptor>([[root.digest, root]]);
  // the map grows while it is walked: an index that lists itself is found only once
  for (const descriptor of found.values()) {
    if (!isIndexType(descriptor.mediaType)) continue;
    const { manifests } = parseIndex(await fetchMetadata(target, descriptor, call), descriptor.digest);
    for (const child of manifests.filter(({ mediaType }) => isManifestLike(mediaType))) {
      if (found.has(child.digest)) continue;
      // the digest must stand for content that is there and sound
      await fetchMetadata(target, child, call);
      found.set(child.digest, child);
    }
  }
  return [...found.values()];
}
