import type { ByteRange } from '../blob-source.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { sendBody } from '../registry/send-body.ts';
import { watchSent } from '../registry/stall.ts';
import { reachable } from '../targets/garbage.ts';
import { parseByteRange } from './byte-range.ts';
import { DistributionError } from './distribution-error.ts';
import { type RepositoryExchange, sendEmpty } from './exchange.ts';

const OCTETS = 'application/octet-stream';

/** GET, HEAD and DELETE /v2/NAME/blobs/DIGEST */
export async function serveBlob(exchange: RepositoryExchange, digest: Digest): Promise<void> {
  const { request, server } = exchange;
  const size = await server.content.blobs.sizeOf(digest);
  if (size === undefined) throw unknownBlob();
  const blob = { mediaType: OCTETS, digest, size };
  if (request.method === 'DELETE') return await deleteBlob(exchange, digest);
  if (request.method === 'HEAD') await assertUsable(exchange, blob);
  const { headers } = request;
  const etag = `"${digest}"`;
  const common = {
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'max-age=31536000, immutable',
    'Docker-Content-Digest': digest,
    ETag: etag,
  };
  if (headers['if-none-match'] === etag) return sendEmpty(exchange, 304, common);
  const isRanged = request.method === 'GET' && (headers['if-range'] === undefined || headers['if-range'] === etag);
  const range = isRanged ? parseByteRange(headers.range, size) : undefined;
  if (range === 'unsatisfiable') {
    throw new DistributionError(416, 'RANGE_INVALID', `the blob has ${size} bytes`, { 'Content-Range': `bytes */${size}` });
  }
  const { start, end } = range ?? { start: 0, end: size };
  exchange.response.writeHead(range === undefined ? 200 : 206, {
    ...common,
    'Content-Type': OCTETS,
    'Content-Length': String(end - start),
    ...(range !== undefined && { 'Content-Range': `bytes ${start}-${end - 1}/${size}` }),
  });
  if (request.method === 'HEAD') exchange.response.end();
  else await sendBlob(exchange, blob, { start, end });
}

/** Who asks by HEAD may be about to push: he must not leave out what is damaged here, nor what is collected before he has finished. */
async function assertUsable({ server }: RepositoryExchange, blob: Descriptor): Promise<void> {
  if (server.isReadOnly) return;
  if (!(await server.lease.during(() => server.content.blobs.has(blob)))) throw unknownBlob();
}

async function sendBlob({ response, server }: RepositoryExchange, blob: Descriptor, range: ByteRange): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const limits = { silenceMs: server.idleMs, minRate: 0 };
  try {
    const bytes = await server.content.blobs.fetch(blob, { range, signal: gone.signal });
    await sendBody(
      response,
      watchSent(bytes, limits, () => response.destroy()),
      range.end - range.start,
    );
  } catch (error) {
    // the client went away
    if (!gone.signal.aborted) throw error;
  }
}

async function deleteBlob(exchange: RepositoryExchange, digest: Digest): Promise<void> {
  const { content, inTurn } = exchange.server;
  await inTurn(async () => {
    // blobs are shared by all repositories
    const used = await reachable(content.blobs, await content.manifests());
    if (used.has(digest)) throw new DistributionError(405, 'UNSUPPORTED', `${digest} is in use by a manifest: delete that first`);
    await content.blobs.remove(digest);
  });
  sendEmpty(exchange, 202, { 'Docker-Content-Digest': digest });
}

function unknownBlob(): DistributionError {
  return new DistributionError(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
}
