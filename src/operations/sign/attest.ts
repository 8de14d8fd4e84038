import type { CallOptions } from '../../events.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import type { Location } from '../../oci/reference.ts';
import type { LegacyLayer } from '../../signing/append-legacy.ts';
import { makeBundle } from '../../signing/bundle.ts';
import { type Envelope, ENVELOPE_TYPE, sealEnvelope } from '../../signing/dsse.ts';
import { predicateOf, predicateTypeOf } from '../../signing/predicate-types.ts';
import { SIGNATURE_ANNOTATION } from '../../signing/simple-signing.ts';
import type { Signer } from '../../signing/signer.ts';
import { attestationStatement } from '../../signing/statement.ts';
import { attachSigned, legacyProofsFor, type SignatureFormat, wantsLegacy } from './attach-signed.ts';
import type { Kit } from '../kit.ts';
import { openSubject } from '../artifact/open-subject.ts';
import type { Signed } from './sign.ts';

export interface AttestArguments {
  readonly location: Location;
  readonly signer: Signer;
  /** One of cosign's short names (`slsaprovenance1`, `cyclonedx`, `custom` ...), or the URI of the predicate type. */
  readonly type: string;
  /** The text of the predicate: JSON, but for `custom`. `file` names it in messages. */
  readonly predicate: { readonly text: string; readonly file: string };
  /** Default `both`. */
  readonly format?: SignatureFormat;
  /** True: a name with a registry is looked up and attested in the store. */
  readonly local?: boolean;
  /** False: nothing is written, the bundle is only returned. Default true. */
  readonly upload?: boolean;
}

export interface AttestResult extends Signed {
  readonly reference: string;
  readonly predicateType: string;
}

/**
 * Signs an in-toto statement that says something about an artifact, and puts it beside it. Attesting again adds an attestation.
 * @throws KitError USAGE when the predicate does not fit its type, and what `sign` throws
 */
export async function attest(kit: Kit, args: AttestArguments, call: CallOptions = {}): Promise<AttestResult> {
  const { signer, type, format = 'both', upload = true } = args;
  const created = new Date().toISOString();
  const predicateType = predicateTypeOf(type);
  const predicate = predicateOf(type, args.predicate.text, { file: args.predicate.file, time: created });
  const subject = await openSubject(kit, args.location, { local: args.local ?? false, verb: 'attest' }, call);
  const { digest } = subject.descriptor;
  const statement = attestationStatement({ name: subject.repository, digest }, predicateType, predicate);
  const isLegacyWanted = upload && wantsLegacy(format, digest);
  const { envelope, ...signed } = await sealEnvelope(statement, signer);
  const bundle = makeBundle(envelope, signed.material);
  const result = { reference: subject.name, predicateType, bundle: bundle.toString() };
  if (!upload) return { ...result, digest };
  const proofs = isLegacyWanted ? legacyProofsFor(signed, format, call) : undefined;
  const legacy = proofs && legacyLayer(envelope, predicateType, proofs);
  return { ...result, ...(await attachSigned(subject, { bundle, predicateType, created, suffix: 'att', legacy }, format, call)) };
}

function legacyLayer(envelope: Envelope, predicateType: string, proofs: Annotations): LegacyLayer {
  // the signature is in the envelope; cosign asks for the annotation all the same
  const annotations = { [SIGNATURE_ANNOTATION]: '', predicateType, ...proofs };
  return { mediaType: ENVELOPE_TYPE, bytes: Buffer.from(JSON.stringify(envelope)), annotations };
}
