import * as z from 'zod';
import type { Annotations } from '../oci/descriptor.ts';
import type { VerificationMaterial } from './material.ts';
import { notAccepted } from './requirement.ts';
import type { SignedBytes } from './signer.ts';

const PREFIX = 'dev.sigstore.cosign/';
const CERTIFICATE = `${PREFIX}certificate`;
const CHAIN = `${PREFIX}chain`;
const LOG_ENTRY = `${PREFIX}bundle`;
const TIMESTAMP = `${PREFIX}rfc3161timestamp`;

/** What the first API of Rekor promises, as cosign keeps it. */
const logEntrySchema = z.looseObject({
  SignedEntryTimestamp: z.base64(),
  Payload: z.looseObject({
    body: z.base64(),
    integratedTime: z.int(),
    logIndex: z.int(),
    logID: z.string().regex(/^(?:[0-9a-f]{2})+$/),
  }),
});
const bodySchema = z.looseObject({ kind: z.string(), apiVersion: z.string() });
const timestampSchema = z.looseObject({ SignedRFC3161Timestamp: z.base64() });
const promisedSchema = z.looseObject({
  logIndex: z.string(),
  logId: z.looseObject({ keyId: z.base64() }),
  integratedTime: z.string(),
  inclusionPromise: z.looseObject({ signedEntryTimestamp: z.base64() }),
  canonicalizedBody: z.base64(),
});

/** What the annotations of an older signature or attestation say about its signer. @throws KitError SIGNATURE_INVALID */
export function legacyMaterial(annotations: Annotations): VerificationMaterial {
  const { [CERTIFICATE]: certificate, [LOG_ENTRY]: logEntry, [TIMESTAMP]: timestamp } = annotations;
  return {
    ...(certificate ? { certificate: { rawBytes: derOf(certificate) } } : { publicKey: {} }),
    ...(logEntry && { tlogEntries: [readLogEntry(logEntry)] }),
    ...(timestamp && { timestampVerificationData: { rfc3161Timestamps: [readTimestamp(timestamp)] } }),
  };
}

/** The annotations that say it; undefined where the older format has no place for a proof: entries of Rekor's second API. */
export function legacyProofs({ material, chainPem, verifierPem }: SignedBytes): Annotations | undefined {
  const entries = (material.tlogEntries ?? []).map((entry) => promisedSchema.safeParse(entry));
  const [entry] = entries;
  const timestamp = material.timestampVerificationData?.rfc3161Timestamps?.[0]?.signedTimestamp;
  if (entries.some(({ success }) => !success)) return undefined;
  return {
    ...(material.certificate && { [CERTIFICATE]: verifierPem, ...(chainPem && { [CHAIN]: chainPem }) }),
    ...(entry?.success === true && { [LOG_ENTRY]: writeLogEntry(entry.data) }),
    ...(timestamp !== undefined && { [TIMESTAMP]: JSON.stringify({ SignedRFC3161Timestamp: timestamp }) }),
  };
}

function derOf(pem: string): string {
  const [, body] = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/.exec(pem) ?? [];
  if (body === undefined) throw notAccepted('its certificate is no PEM block');
  return body.replaceAll(/\s/g, '');
}

function readLogEntry(text: string): unknown {
  const { Payload: payload, SignedEntryTimestamp: signedEntryTimestamp } = parse(logEntrySchema, text, 'its log entry');
  const { kind, apiVersion: version } = parse(
    bodySchema,
    Buffer.from(payload.body, 'base64').toString('utf8'),
    'the body of its log entry',
  );
  return {
    logIndex: String(payload.logIndex),
    logId: { keyId: Buffer.from(payload.logID, 'hex').toString('base64') },
    kindVersion: { kind, version },
    integratedTime: String(payload.integratedTime),
    inclusionPromise: { signedEntryTimestamp },
    canonicalizedBody: payload.body,
  };
}

function writeLogEntry({ inclusionPromise, canonicalizedBody, integratedTime, logIndex, logId }: z.infer<typeof promisedSchema>): string {
  return JSON.stringify({
    SignedEntryTimestamp: inclusionPromise.signedEntryTimestamp,
    Payload: {
      body: canonicalizedBody,
      integratedTime: Number(integratedTime),
      logIndex: Number(logIndex),
      logID: Buffer.from(logId.keyId, 'base64').toString('hex'),
    },
  });
}

function readTimestamp(text: string): { signedTimestamp: string } {
  return { signedTimestamp: parse(timestampSchema, text, 'its timestamp').SignedRFC3161Timestamp };
}

function parse<T>(schema: z.ZodType<T>, text: string, what: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw notAccepted(`${what} is malformed`, cause);
  }
}
