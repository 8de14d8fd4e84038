import { createHash } from 'node:crypto';
import type { TransparencyLogEntry } from '@sigstore/bundle';
import type { SignedEntity, Signer, VerifierOptions } from '@sigstore/verify';
import type { TrustedRoot } from '@sigstore/protobuf-specs';
import { plainText } from '../registry/redact.ts';
import { readPreAuthEncoding } from './dsse.ts';
import { certificateIn } from './material.ts';
import type { PublicKey } from './public-key.ts';
import { notAccepted } from './requirement.ts';
import type { LogProof, SignedContent } from './verifier.ts';

/** Whom to believe, and what may be missing. */
export interface Trust {
  /** Authorities, logs and timestamp authorities. */
  readonly root: TrustedRoot;
  /** True: no entry of a transparency log is asked for. One that is there must still hold. */
  readonly ignoreLog?: boolean;
  /** True: certificates need not be listed by a certificate transparency log. */
  readonly ignoreSct?: boolean;
}

export interface Proven {
  /** Undefined for a key. */
  readonly certificate: Signer['identity'];
  readonly logs: readonly LogProof[];
  readonly times: readonly { readonly by: 'log' | 'timestamp-authority'; readonly time: string }[];
}

/**
 * Checks signature, certificate, log entries and timestamps against a trusted root. `key` is what must have signed; without it, the
 * certificate of the material. @throws KitError SIGNATURE_INVALID whose message says why it does not hold
 */
export async function checkProofs(content: SignedContent, trust: Trust, key?: PublicKey): Promise<Proven> {
  const [{ toTrustMaterial, Verifier, VerificationError }, entity] = await Promise.all([
    import('@sigstore/verify'),
    toEntity(content, key),
  ]);
  const thresholds: VerifierOptions = {
    tlogThreshold: trust.ignoreLog === true ? 0 : 1,
    ctlogThreshold: trust.ignoreSct === true ? 0 : 1,
    // without a time, nobody knows whether the certificate was valid; a key is always
    timestampThreshold: key === undefined ? 1 : 0,
  };
  try {
    const material = toTrustMaterial(trust.root, key && (() => ({ publicKey: key.key, validFor: () => true })));
    const { identity } = new Verifier(material, thresholds).verify(entity);
    return { certificate: identity, ...describe(entity, trust.root) };
  } catch (error) {
    if (error instanceof VerificationError) throw notAccepted(reasonOf(error), error);
    throw notAccepted(`its certificate, log entry or timestamp is malformed: ${(error as Error).message}`, error);
  }
}

async function toEntity({ data, signature, material }: SignedContent, key: PublicKey | undefined): Promise<SignedEntity> {
  const [{ X509Certificate, RFC3161Timestamp, crypto }, { TransparencyLogEntry }] = await Promise.all([
    import('@sigstore/core'),
    import('@sigstore/protobuf-specs'),
  ]);
  const envelope = readPreAuthEncoding(data);
  const der = certificateIn(material);
  try {
    const tlogEntries = (material.tlogEntries ?? []).map(toEntry);
    return {
      signature: {
        signature: Buffer.from(signature),
        compareSignature: (other) => isSame(other, signature),
        // the older entries list the payload of an envelope, the newer ones what is signed
        compareDigest: (digest) => isSame(digest, sha256(envelope?.payload ?? data)),
        compareSignedDigest: (digest) => isSame(digest, sha256(data)),
        verifySignature: (publicKey) =>
          key === undefined ? crypto.verify(Buffer.from(data), publicKey, Buffer.from(signature)) : key.verifies(data, signature),
      },
      key:
        key === undefined
          ? { $case: 'certificate', certificate: X509Certificate.parse(Buffer.from(der ?? '', 'base64')) }
          : { $case: 'public-key', hint: '' },
      tlogEntries,
      timestamps: [
        ...tlogEntries
          .filter(({ integratedTime }) => !['', '0'].includes(integratedTime))
          .map((tlogEntry) => ({ $case: 'transparency-log', tlogEntry }) as const),
        ...(material.timestampVerificationData?.rfc3161Timestamps ?? []).map(
          ({ signedTimestamp }) =>
            ({ $case: 'timestamp-authority', timestamp: RFC3161Timestamp.parse(Buffer.from(signedTimestamp, 'base64')) }) as const,
        ),
      ],
    };
  } catch (cause) {
    throw notAccepted(`its certificate, log entry or timestamp is malformed: ${(cause as Error).message}`, cause);
  }

  function toEntry(json: unknown): TransparencyLogEntry {
    const { logId, kindVersion, ...rest } = TransparencyLogEntry.fromJSON(json);
    if (logId === undefined || kindVersion === undefined) throw new Error('the log entry does not say of which log and kind it is');
    return { ...rest, logId, kindVersion };
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** What was checked, for people. */
function describe({ tlogEntries, timestamps }: SignedEntity, { tlogs }: TrustedRoot): Pick<Proven, 'logs' | 'times'> {
  const logs = tlogEntries.map(({ logId, logIndex }) => {
    const log = tlogs.find(
      (one) => one.logId?.keyId.equals(logId.keyId) === true || one.checkpointKeyId?.keyId.equals(logId.keyId) === true,
    );
    return { url: plainText(log?.baseUrl ?? ''), index: logIndex };
  });
  const times = timestamps.flatMap((one): Proven['times'] => {
    if (one.$case === 'timestamp-authority') return [{ by: one.$case, time: one.timestamp.signingTime.toISOString() }];
    // without its promise a log proves no time
    if (one.tlogEntry.inclusionPromise === undefined) return [];
    return [{ by: 'log', time: new Date(Number(one.tlogEntry.integratedTime) * 1000).toISOString() }];
  });
  return { logs, times };
}

function reasonOf({ code, message, cause }: Error & { readonly code: string }): string {
  const inner = (cause as Error | undefined)?.message ?? message;
  switch (code) {
    case 'SIGNATURE_ERROR':
      return 'it was changed after signing, or is not by the key of its certificate';
    case 'TIMESTAMP_ERROR':
      if (message.startsWith('duplicate')) return 'one proof of its time is given twice';
      return message.startsWith('expected')
        ? 'nothing proves when it was signed (no timestamp, no log entry with a time), and its certificate was valid for a short time only'
        : `its timestamp is not by an authority of the trusted root, or is about another signature: ${message}`;
    case 'TLOG_ERROR':
      return message.startsWith('expected') ? 'no transparency log lists it' : `its log entries do not hold: ${message}`;
    case 'TLOG_BODY_ERROR':
      return `its log entry is about something else: ${message}`;
    case 'TLOG_INCLUSION_PROMISE_ERROR':
    case 'TLOG_INCLUSION_PROOF_ERROR':
    case 'TLOG_MISSING_INCLUSION_ERROR':
      return `its log entry is not by a log of the trusted root: ${inner}`;
    case 'CERTIFICATE_ERROR':
      if (/SCT/.test(message)) return `its certificate is not proven to be in a certificate transparency log: ${message}`;
      return /expired/.test(inner)
        ? 'its certificate was not valid when it was signed'
        : `its certificate is not by an authority of the trusted root: ${inner}`;
    default:
      return inner;
  }
}
