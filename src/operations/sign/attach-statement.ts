import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { ANNOTATION, MEDIA_TYPE } from '../../oci/media-types.ts';
import { pushSmall } from '../../signing/attach-bundle.ts';
import { IN_TOTO_TYPE } from '../../signing/statement.ts';
import type { Target } from '../../targets/types.ts';

/** How lists tell the predicate type of a statement that nobody has signed, as BuildKit does. */
export const PREDICATE_ANNOTATION = 'in-toto.io/predicate-type';

export interface UnsignedStatement {
  /** JSON: see `attestationStatement`. */
  readonly statement: string;
  readonly predicateType: string;
  /** RFC 3339. */
  readonly created: string;
}

/** Puts an in-toto statement that nobody has signed beside the manifest `subject`. Returns the manifest that refers to it. */
export async function attachStatement(
  target: Target,
  { mediaType, digest, size }: Descriptor,
  { statement, predicateType, created }: UnsignedStatement,
  call: CallOptions,
): Promise<Descriptor> {
  await using _lease = await target.can.lease?.(call);
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType: IN_TOTO_TYPE,
    config: await pushSmall(target, MEDIA_TYPE.emptyJson, Buffer.from('{}'), call),
    layers: [await pushSmall(target, IN_TOTO_TYPE, Buffer.from(statement), call)],
    subject: { mediaType, digest, size },
    annotations: { [PREDICATE_ANNOTATION]: predicateType, [ANNOTATION.created]: created },
  };
  return await pushSmall(target, MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest)), call);
}
