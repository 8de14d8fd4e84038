import { isKitError } from '../errors.ts';
import { type Digest, type DigestAlgorithm, isDigest } from '../oci/digest.ts';
import { parseChunkRange } from './byte-range.ts';
import { DistributionError } from './distribution-error.ts';
import { type RepositoryExchange, sendEmpty } from './exchange.ts';
import { bodyChunks } from './request-body.ts';
import { unknownUpload, type UploadSession } from './upload-sessions.ts';

/** POST /v2/NAME/blobs/uploads/: begins an upload, takes a whole blob (`digest`), or finds that it is here already (`mount`). */
export async function beginUpload(exchange: RepositoryExchange): Promise<void> {
  const { query, server, name } = exchange;
  const mount = query.get('mount');
  if (mount !== null && (await isHere(exchange, mount))) return created(exchange, mount as Digest);
  const digest = readDigest(query.get('digest'));
  const session = await server.sessions.begin(name, readAlgorithm(query.get('digest-algorithm'), digest));
  if (digest === undefined) return accepted(exchange, session, 202);
  try {
    await inSession(exchange, session, () => finish(exchange, session, digest));
  } finally {
    await server.sessions.end(session);
  }
}

/** GET, PATCH, PUT and DELETE /v2/NAME/blobs/uploads/ID */
export async function serveUpload(exchange: RepositoryExchange, id: string): Promise<void> {
  const { request, server, name, query } = exchange;
  const session = server.sessions.find(name, id);
  switch (request.method) {
    case 'GET':
      return accepted(exchange, session, 204);
    case 'PATCH':
      return await inSession(exchange, session, () => receive(exchange, session));
    case 'PUT': {
      const digest = readDigest(query.get('digest'));
      if (digest === undefined) throw new DistributionError(400, 'DIGEST_INVALID', 'the query names no digest');
      return await inSession(exchange, session, () => finish(exchange, session, digest));
    }
    default:
      await inSession(exchange, session, () => server.sessions.end(session));
      sendEmpty(exchange, 204);
  }
}

/** Blobs are shared: one that another repository has is mounted by saying so, whichever repository the client thinks of. */
async function isHere({ server }: RepositoryExchange, digest: string): Promise<boolean> {
  const { blobs } = server.content;
  if (!isDigest(digest)) return false;
  return await server.lease.during(async () => {
    const size = await blobs.sizeOf(digest);
    return size !== undefined && (await blobs.has({ mediaType: 'application/octet-stream', digest, size }));
  });
}

async function inSession(exchange: RepositoryExchange, session: UploadSession, work: () => Promise<void>): Promise<void> {
  const { request, server } = exchange;
  await server.lease.during(() =>
    session.alone(
      () => request.destroy(),
      async () => {
        if (session.isOver) throw unknownUpload();
        await work();
      },
    ),
  );
}

async function receive(exchange: RepositoryExchange, session: UploadSession): Promise<void> {
  if (await append(exchange, session)) accepted(exchange, session, 202);
}

async function finish(exchange: RepositoryExchange, session: UploadSession, digest: Digest): Promise<void> {
  const { server } = exchange;
  // broken off: what came is kept for the next attempt
  if (!(await append(exchange, session))) return;
  try {
    await session.upload.commit(digest);
  } catch (error) {
    if (!isKitError(error, 'DIGEST_MISMATCH')) throw error;
    throw new DistributionError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  } finally {
    await server.sessions.end(session);
  }
  created(exchange, digest);
}

/** Adds the body to what came before. False when the client went away in its middle. */
async function append(exchange: RepositoryExchange, session: UploadSession): Promise<boolean> {
  const { request, response, server } = exchange;
  const { upload } = session;
  const range = parseChunkRange(request.headers['content-range']);
  const length = request.headers['content-length'];
  if (range === 'malformed') throw new DistributionError(400, 'BLOB_UPLOAD_INVALID', 'Content-Range must be START-END');
  if (range !== undefined && range.start !== upload.size) {
    throw new DistributionError(416, 'RANGE_INVALID', `the next byte to send is ${upload.size}`, progressOf(exchange, session));
  }
  if (range !== undefined && length !== undefined && Number(length) !== range.end - range.start)
    throw new DistributionError(400, 'SIZE_INVALID', 'Content-Length and Content-Range contradict each other');
  if (length === '0' || (length === undefined && request.headers['transfer-encoding'] === undefined)) return true;
  if (request.headers.expect !== undefined) response.writeContinue();
  try {
    await upload.append(bodyChunks(request));
  } catch (error) {
    await server.sessions.end(session);
    throw error;
  }
  return request.complete;
}

function accepted(exchange: RepositoryExchange, session: UploadSession, status: 202 | 204): void {
  sendEmpty(exchange, status, progressOf(exchange, session));
}

function progressOf({ name }: RepositoryExchange, { id, upload }: UploadSession): Record<string, string> {
  return {
    Location: `/v2/${name}/blobs/uploads/${id}`,
    // nothing is written like one byte, as CNCF Distribution does: the header has no other way
    Range: `0-${Math.max(0, upload.size - 1)}`,
    'Docker-Upload-UUID': id,
  };
}

function created(exchange: RepositoryExchange, digest: Digest): void {
  sendEmpty(exchange, 201, { Location: `/v2/${exchange.name}/blobs/${digest}`, 'Docker-Content-Digest': digest });
}

function readDigest(text: string | null): Digest | undefined {
  if (text === null) return undefined;
  if (!isDigest(text)) throw new DistributionError(400, 'DIGEST_INVALID', 'not a digest that this registry knows');
  return text;
}

function readAlgorithm(text: string | null, digest: Digest | undefined): DigestAlgorithm {
  if (text !== null && text !== 'sha256' && text !== 'sha512')
    throw new DistributionError(400, 'DIGEST_INVALID', 'this registry knows sha256 and sha512');
  return text ?? (digest?.startsWith('sha512') === true ? 'sha512' : 'sha256');
}
