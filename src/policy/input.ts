import * as z from 'zod';

const text = z.string().optional().catch(undefined);

const signatory = z.looseObject({
  type: z.enum(['key', 'identity']),
  name: text,
  /** Of a key that a policy names in several ways. */
  names: z.array(z.string()).optional(),
  keyId: text,
  identity: text,
  issuer: text,
  times: z.array(z.looseObject({ time: z.string() })).optional(),
});

const signature = z.looseObject({
  kind: text,
  digest: text,
  accepted: z.boolean(),
  signer: signatory.optional(),
  reason: text,
  annotations: z.record(z.string(), z.unknown()).optional(),
});

// what has another shape is as good as absent: rules that need it are then broken, whatever document is judged
const schema = z.looseObject({
  reference: text,
  registry: text,
  repository: text,
  pinned: z.boolean().optional().catch(undefined),
  digest: text,
  now: text,
  format: text,
  created: text,
  kitfile: z.record(z.string(), z.unknown()).optional().catch(undefined),
  files: z
    .array(z.looseObject({ path: z.string(), pickle: z.boolean().optional(), remote: text, size: z.number().optional().catch(undefined) }))
    .optional()
    .catch(undefined),
  signatures: z.array(signature).optional().catch(undefined),
  attestations: z
    .array(z.looseObject({ ...signature.shape, predicateType: text, predicate: z.unknown().optional() }))
    .optional()
    .catch(undefined),
  sboms: z
    .array(z.looseObject({ type: text }))
    .optional()
    .catch(undefined),
  unknown: z.array(z.string()).optional().catch(undefined),
});

/** The document that a policy judges: what is known of an artifact, or any other JSON. */
export type PolicyInput = z.infer<typeof schema>;
export type JudgedSignature = z.infer<typeof signature>;
export type JudgedAttestation = NonNullable<PolicyInput['attestations']>[number];

/** The parts that rules look at. Anything else than an object has none of them. */
export function readInput(document: unknown): PolicyInput {
  const result = schema.safeParse(document);
  return result.success ? result.data : {};
}
