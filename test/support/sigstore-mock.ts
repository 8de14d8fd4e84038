// not the packages as a whole: they put nock between every request and its server
import { fulcioHandler, initializeCA, initializeCTLog } from '@sigstore/mock/dist/fulcio/index.js';
import { initializeTLog } from '@sigstore/mock/dist/rekor/index.js';
import { initializeTSA, tsaHandler } from '@sigstore/mock/dist/timestamp/index.js';
import { tufHandlers } from '@tufjs/repo-mock/dist/handler.js';
import { initializeTUFRepo } from '@tufjs/repo-mock/dist/repo.js';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** Fulcio with a CT log, Rekor's first API, a timestamp authority and a TUF repository, in this process. */
export interface SigstoreMock {
  /** Of all services: `http://localhost:PORT`. */
  readonly url: string;
  /** The services, as they are given to `openSigner`. */
  readonly services: { readonly fulcioUrl: string; readonly rekorUrl: string; readonly timestampUrl?: string };
  /** Files. */
  readonly trustedRoot: string;
  readonly tufRoot: string;
  close(): Promise<void>;
}

export interface MockOptions {
  /** When the authority issues. Default: now. */
  readonly issued?: Date;
  /** When the log dates its entries. Default: now. */
  readonly logged?: Date;
  /** What the timestamp authority says. Default: now. */
  readonly stamped?: Date;
  /** False: certificates are in no CT log. */
  readonly hasCtLog?: boolean;
}

type Reply = { readonly statusCode: number; readonly response: string | ArrayBufferView; readonly contentType?: string };

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A token that the authority here believes, as it believes all. */
export function fakeToken(claims: Readonly<Record<string, unknown>> = {}): string {
  const base = { iss: 'https://issuer.example.com', sub: 'dev@example.com', aud: 'sigstore', exp: Math.floor(Date.now() / 1000) + 600 };
  return `${encode({ alg: 'RS256' })}.${encode({ ...base, ...claims })}.${encode({})}`;
}

export async function startSigstoreMock(
  directory: string,
  { issued, logged, stamped, hasCtLog = true }: MockOptions = {},
): Promise<SigstoreMock> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://localhost:${port}`;
  const ctLog = await initializeCTLog(pair());
  const ca = await initializeCA(pair(), hasCtLog ? ctLog : undefined, issued);
  const log = await initializeTLog(url, pair(), logged);
  const tsa = await initializeTSA(pair(), issued);
  // @sigstore/core reads a fraction of a second only with three digits, and DER has no zeros at its end
  if (issued === undefined)
    Object.assign(tsa, { getCurrentTime: () => new Date(Math.floor((stamped?.getTime() ?? Date.now()) / 1000) * 1000) });
  const logInstance = (publicKey: Buffer) => ({
    baseUrl: url,
    hashAlgorithm: 'SHA2_256',
    publicKey: { rawBytes: base64(publicKey), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor: { start: '2024-01-01T00:00:00Z' } },
    logId: { keyId: createHash('sha256').update(publicKey).digest('base64') },
  });
  const authority = (...certificates: ArrayBufferView[]) => ({
    subject: { organization: 'mock', commonName: 'mock' },
    uri: url,
    certChain: { certificates: certificates.map((one) => ({ rawBytes: base64(one) })) },
    validFor: { start: '2024-01-01T00:00:00Z' },
  });
  const root = JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [logInstance(log.publicKey)],
    certificateAuthorities: [authority(ca.rootCertificate)],
    ctlogs: [logInstance(ctLog.publicKey)],
    timestampAuthorities: [authority(tsa.intCertificate, tsa.rootCertificate)],
  });
  const repository = initializeTUFRepo([{ name: 'trusted_root.json', content: root }]);
  const fulcio = fulcioHandler(ca);
  const timestamps = tsaHandler(tsa);
  const posts: Record<string, (body: string) => Promise<Reply>> = {
    [fulcio.path]: fulcio.fn,
    [timestamps.path]: timestamps.fn,
    '/api/v1/log/entries': async (body) => ({
      statusCode: 201,
      response: JSON.stringify(await log.log(toEntry(body))),
      contentType: 'application/json',
    }),
  };
  const gets = new Map(tufHandlers(repository, { metadataPathPrefix: '', targetPathPrefix: '/targets' }).map(({ path, fn }) => [path, fn]));
  server.on('request', (request, response) => {
    void text(request).then(async (body) => {
      const path = request.url ?? '';
      const reply = request.method === 'POST' ? await posts[path]?.(body) : gets.get(path)?.();
      response
        .writeHead(reply?.statusCode ?? 404, { 'content-type': reply?.contentType ?? 'text/plain' })
        .end(reply?.response ?? 'nothing is here');
    });
  });
  const file = (name: string): string => join(directory, `${port}-${name}`);
  await writeFile(file('trusted-root.json'), root);
  await writeFile(file('root.json'), JSON.stringify(repository.rootMeta.toJSON()));
  return {
    url,
    services: { fulcioUrl: url, rekorUrl: url },
    trustedRoot: file('trusted-root.json'),
    tufRoot: file('root.json'),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function pair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function base64(bytes: ArrayBufferView): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function hash(bytes: string | Buffer): object {
  return { algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') };
}

/** What Rekor makes of a proposed entry: the mock would list the proposal itself. */
function toEntry(body: string): object {
  const entry = JSON.parse(body) as { kind: string; spec: { proposedContent: { envelope: string; verifiers: string[] } } };
  if (entry.kind !== 'dsse') return entry;
  const { envelope, verifiers } = entry.spec.proposedContent;
  const { payload, signatures } = JSON.parse(envelope) as { payload: string; signatures: { sig: string }[] };
  const spec = {
    envelopeHash: hash(envelope),
    payloadHash: hash(Buffer.from(payload, 'base64')),
    signatures: [{ signature: signatures[0]?.sig, verifier: verifiers[0] }],
  };
  return { apiVersion: '0.0.1', kind: 'dsse', spec };
}
