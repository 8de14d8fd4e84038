import { createHash, X509Certificate, createPublicKey } from 'node:crypto';
import type { SignatureBundle } from '@sigstore/sign';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';
import { askService, replyJson } from './ask-service.ts';
import { readPreAuthEncoding } from './dsse.ts';
import type { SignedBytes, Witness } from './signer.ts';

const TIMEOUT_MS = 30_000;

/** A transparency log of Rekor's first API: envelopes are listed as such, all else by digest. Its promise dates the signature. */
export function logWitness(url: string): Witness {
  return {
    testify: async (data, signed) => {
      const [{ RekorWitness }, { TransparencyLogEntry }] = await Promise.all([
        import('@sigstore/sign'),
        import('@sigstore/protobuf-specs'),
      ]);
      const witness = new RekorWitness({ rekorBaseURL: withoutSlash(url), timeout: TIMEOUT_MS, retry: 2, fetchOnConflict: true });
      const { tlogEntries } = await call(
        `the transparency log at ${url}`,
        async () => await witness.testify(contentOf(data, signed), signed.verifierPem),
      );
      return { tlogEntries: tlogEntries.map((entry) => TransparencyLogEntry.toJSON(entry)) };
    },
  };
}

/** A timestamp authority (RFC 3161). */
export function timestampWitness(url: string): Witness {
  return {
    testify: async (data, signed) => {
      const { TSAWitness } = await import('@sigstore/sign');
      const witness = new TSAWitness({ tsaBaseURL: withoutSlash(url), timeout: TIMEOUT_MS, retry: 2 });
      const { rfc3161Timestamps } = await call(
        `the timestamp authority at ${url}`,
        async () => await witness.testify(contentOf(data, signed)),
      );
      return {
        timestampVerificationData: {
          rfc3161Timestamps: rfc3161Timestamps.map(({ signedTimestamp }) => ({
            signedTimestamp: Buffer.from(signedTimestamp).toString('base64'),
          })),
        },
      };
    },
  };
}

/**
 * A transparency log of Rekor's second API. What @sigstore/sign sends for envelopes is refused by the servers: they list digests only,
 * that of an envelope's signed bytes too. Entries have no time: an authority must date the signature.
 */
export function logV2Witness(url: string, signal?: AbortSignal): Witness {
  return {
    testify: async (data, { signature, verifierPem }) => {
      const what = 'the transparency log';
      const target = new URL(`${withoutSlash(url)}/api/v2/log/entries`);
      const request = {
        hashedRekordRequestV002: {
          digest: createHash('sha256').update(data).digest('base64'),
          signature: { content: signature.toString('base64'), verifier: verifierOf(verifierPem) },
        },
      };
      const reply = await askService(target, what, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(request),
        // it answers when the entry is in the log, not before
        timeoutMs: 60_000,
        signal,
      });
      const { TransparencyLogEntry } = await import('@sigstore/protobuf-specs');
      // through the schema, so that what is none does not go into a bundle
      const entry = TransparencyLogEntry.fromJSON(replyJson(reply, target, what));
      if (entry.inclusionProof?.checkpoint === undefined || entry.canonicalizedBody.length === 0)
        throw new KitError('SERVICE_FAILED', `${what} at ${target.href} answered without a proof of inclusion`);
      return { tlogEntries: [TransparencyLogEntry.toJSON(entry)] };
    },
  };
}

/** PublicKeyDetails of sigstore_common.proto: a log wants to know how the signature was made. */
function verifierOf(pem: string): object {
  const isCertificate = pem.includes('BEGIN CERTIFICATE');
  const certificate = isCertificate ? new X509Certificate(pem) : undefined;
  const key = certificate?.publicKey ?? createPublicKey(pem);
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const keyDetails =
    namedCurve === 'prime256v1'
      ? 'PKIX_ECDSA_P256_SHA_256'
      : key.asymmetricKeyType === 'rsa' && [2048, 3072, 4096].includes(modulusLength ?? 0)
        ? `PKIX_RSA_PKCS1V15_${modulusLength}_SHA256`
        : undefined;
  if (keyDetails === undefined) {
    throw new KitError(
      'UNSUPPORTED',
      `logs of Rekor's second API take no SHA-256 signatures by keys such as ${key.asymmetricKeyType} ${namedCurve ?? modulusLength ?? ''}`,
      {
        hint: 'sign with a P-256 key',
      },
    );
  }
  return certificate === undefined
    ? { publicKey: { rawBytes: key.export({ type: 'spki', format: 'der' }).toString('base64') }, keyDetails }
    : { x509Certificate: { rawBytes: certificate.raw.toString('base64') }, keyDetails };
}

function contentOf(data: Uint8Array, { signature }: SignedBytes): SignatureBundle {
  const envelope = readPreAuthEncoding(data);
  if (envelope !== undefined) return { $case: 'dsseEnvelope', dsseEnvelope: { ...envelope, signatures: [{ sig: signature, keyid: '' }] } };
  // 1: SHA2_256 of sigstore_common.proto
  const messageDigest = { algorithm: 1, digest: createHash('sha256').update(data).digest() };
  return { $case: 'messageSignature', messageSignature: { messageDigest, signature } };
}

/** What the library throws, in our words: its message says only that it failed, its cause why. */
async function call<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = (error as Error).cause as (Error & { statusCode?: number }) | undefined;
    const why = plainText(cause?.message ?? (error as Error).message);
    if (cause?.statusCode !== undefined) throw new KitError('SERVICE_FAILED', `${what} refused the signature: ${why}`, { cause: error });
    throw new KitError('NETWORK', `${what} cannot be reached: ${why}`, {
      cause: error,
      hint: 'check the URL and the connection, and run the command again',
    });
  }
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '');
}
