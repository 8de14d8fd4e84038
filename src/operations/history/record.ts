import * as z from 'zod';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { ANNOTATION, isManifestType, MEDIA_TYPE } from '../../oci/media-types.ts';
import { BUNDLE_TYPE_PREFIX, parseBundle } from '../../signing/bundle.ts';
import type { Signer } from '../../signing/signer.ts';
import { attestationStatement, IN_TOTO_TYPE, parseStatement } from '../../signing/statement.ts';
import { attachStatement, PREDICATE_ANNOTATION } from '../sign/attach-statement.ts';
import { attest } from '../sign/attest.ts';
import type { TagMove } from './move.ts';
import type { TagPlace } from './place.ts';
import type { Kit } from '../kit.ts';
import { readAttachment } from '../sign/signature-source.ts';

/** Predicate type of the statement that a tag was moved. */
export const PROMOTION_TYPE = 'https://ocikit.dev/promotion/v1';
/** How lists tell the predicate type of a statement: without a signature, and in a sigstore bundle. */
export const PREDICATE_ANNOTATIONS = [PREDICATE_ANNOTATION, 'dev.sigstore.bundle.predicateType'] as const;

const digest = z.custom<Digest>(isDigest, 'not a digest');
const predicateSchema = z.looseObject({
  kind: z.enum(['promotion', 'rollback']),
  from: z.looseObject({ reference: z.string().max(1024) }),
  to: z.looseObject({ repository: z.string().max(512), tag: z.string().max(128) }),
  previous: digest.nullish(),
  when: z.iso.datetime({ offset: true }),
  by: z.string().max(256).optional(),
});

/** What is recorded of a move; `digest` is the subject of the statement. */
export interface RecordedMove {
  readonly kind: 'promotion' | 'rollback';
  readonly digest: Digest;
  readonly previous: Digest | undefined;
  readonly when: string;
  readonly by: string;
  readonly from: string;
}

/** Puts an in-toto statement about the move beside the manifest; signed, as a sigstore bundle, where there is a signer. Returns the referrer. */
export async function attachRecord(
  kit: Kit,
  place: TagPlace,
  subject: Descriptor,
  move: RecordedMove,
  { signer, call }: { readonly signer: Signer | undefined; readonly call: CallOptions },
): Promise<Digest | undefined> {
  const { target, repository, tag, isLocal, at } = place;
  const { kind, from, previous, when, by } = move;
  const predicate = JSON.stringify({ kind, from: { reference: from }, to: { repository, tag }, previous: previous ?? null, when, by });
  if (signer === undefined) {
    const statement = attestationStatement({ name: repository, digest: subject.digest }, PROMOTION_TYPE, predicate);
    return (await attachStatement(target, subject, { statement, predicateType: PROMOTION_TYPE, created: when }, call)).digest;
  }
  const content = { type: PROMOTION_TYPE, predicate: { text: predicate, file: 'the record' }, format: 'bundle' } as const;
  return (await attest(kit, { location: at(subject.digest), signer, local: isLocal, ...content }, call)).referrer;
}

/** Records are small: what is larger is none. */
const MAX_RECORD_BYTES = 64 * 1024;
/** Records of one manifest that are read, the last that are listed. */
const MAX_RECORDS = 100;
const MAX_REFERRERS = 10_000;

/** The recorded moves of the tag to `subject`. One that cannot be read is a warning. Nothing is verified but digests. */
export async function readRecords(place: TagPlace, subject: Digest, call: CallOptions): Promise<TagMove[]> {
  const { target } = place;
  const listed: Descriptor[] = [];
  let count = 0;
  for await (const referrer of target.can.referrers?.({ mediaType: MEDIA_TYPE.imageManifest, digest: subject, size: 0 }, call) ?? []) {
    if ((count += 1) > MAX_REFERRERS)
      throw new KitError('LIMIT_EXCEEDED', `${target.name}@${subject} has more than ${MAX_REFERRERS} referrers`);
    if (mayBeRecord(referrer)) listed.push(referrer);
  }
  const newest = listed.toSorted((a, b) => (createdOf(a) < createdOf(b) ? 1 : -1)).slice(0, MAX_RECORDS);
  const moves = await Promise.all(newest.map(async (referrer) => await readRecord(place, subject, referrer, call)));
  return moves.filter((move) => move !== undefined);
}

const createdOf = ({ annotations }: Descriptor): string => annotations?.[ANNOTATION.created] ?? '';

/** By what the list says; where it says nothing, the content will. */
function mayBeRecord({ mediaType, artifactType, annotations }: Descriptor): boolean {
  if (!isManifestType(mediaType)) return false;
  const isStatement = artifactType === undefined || artifactType === IN_TOTO_TYPE || artifactType.startsWith(BUNDLE_TYPE_PREFIX);
  const predicate = predicateTypeIn(annotations);
  return isStatement && (predicate === undefined || predicate === PROMOTION_TYPE);
}

export function predicateTypeIn(annotations: Descriptor['annotations']): string | undefined {
  return PREDICATE_ANNOTATIONS.map((name) => annotations?.[name]).find((value) => value !== undefined);
}

/** Undefined for what is no record of this tag. */
async function readRecord(place: TagPlace, subject: Digest, referrer: Descriptor, call: CallOptions): Promise<TagMove | undefined> {
  try {
    const manifest = parseManifest(await readAttachment(place.target, referrer, call), referrer.digest);
    const [layer, ...others] = manifest.layers;
    if (manifest.subject?.digest !== subject || layer === undefined || others.length > 0 || layer.size > MAX_RECORD_BYTES) return undefined;
    const signed = layer.mediaType.startsWith(BUNDLE_TYPE_PREFIX);
    if (!signed && layer.mediaType !== IN_TOTO_TYPE) return undefined;
    const bytes = await readAttachment(place.target, layer, call);
    const move = parseRecord(signed ? Buffer.from(parseBundle(bytes).envelope.payload, 'base64') : bytes, place, subject);
    return move && { ...move, evidence: 'record', record: referrer.digest, signed };
  } catch (error) {
    if (!isKitError(error, 'SIGNATURE_INVALID', 'MANIFEST_INVALID', 'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'BLOB_NOT_FOUND', 'LIMIT_EXCEEDED'))
      throw error;
    const message = `the record ${referrer.digest} of ${place.target.name} is left out: ${error.message}`;
    call.onEvent?.({ type: 'warning', code: 'RECORD_IGNORED', message });
    return undefined;
  }
}

/** @throws KitError MANIFEST_INVALID | SIGNATURE_INVALID for a damaged one */
function parseRecord(statementBytes: Uint8Array, { repository, tag }: TagPlace, of: Digest): RecordedMove | undefined {
  const { predicateType, predicate, subject } = parseStatement(statementBytes);
  if (predicateType !== PROMOTION_TYPE) return undefined;
  if (!subject.some((one) => one.digest?.[digestAlgorithm(of)] === digestHex(of))) return undefined;
  const parsed = predicateSchema.safeParse(predicate);
  if (!parsed.success) throw new KitError('MANIFEST_INVALID', `its predicate: ${parsed.error.issues[0]?.message ?? 'invalid'}`);
  const { kind, from, to, previous, when, by = '' } = parsed.data;
  // a record that was copied along with its artifact tells of another repository's tag
  if (to.repository !== repository || to.tag !== tag) return undefined;
  return { kind, digest: of, previous: previous ?? undefined, when: new Date(when).toISOString(), by, from: from.reference };
}
