import type { Exchange } from './registry.ts';
import { fail } from './registry-reply.ts';

/** One answer out of turn, used up by the first request that matches. */
interface Fault {
  /** Only requests whose `METHOD path` matches. */
  readonly match?: RegExp;
  /** Only requests whose Range header matches. */
  readonly range?: RegExp;
  /** So many requests that match pass before. */
  readonly skip?: number;
  /** Answered instead of the real thing; `reset` closes the connection without an answer. */
  readonly status: number | 'reset';
  readonly headers?: Record<string, string>;
  /** Text of the answer instead of a JSON error body. */
  readonly body?: string;
}

export interface Behaviour {
  /** Queue of faults. */
  faults: Fault[];
  /** False: a Range header is ignored and the whole blob sent. */
  ranges: boolean;
  /** The 206 answers name a wrong range. */
  wrongContentRange: boolean;
  /** Docker-Content-Digest of manifests names something else. */
  wrongDigestHeader: boolean;
  /** False: manifests come without Docker-Content-Digest. */
  digestHeader: boolean;
  /** False: HEAD of a manifest is answered with 405. */
  headManifests: boolean;
  /** Content-Type of manifests instead of the true one; an empty text leaves it out. */
  contentType: string | undefined;
  /** The next blob download is cut after this many bytes; used up once per element. */
  cutDownloads: number[];
  /** The same for downloads with a Range header only. */
  cutRanges: number[];
  /** The next download with a Range header stops after this many bytes without an end; used up once per element. */
  stallRanges: number[];
  /** Downloads of whole blobs pause after so many bytes. */
  pauseWhole: { readonly bytes: number; readonly until: Promise<void> } | undefined;
  /** Downloads with a Range header are not answered before it resolves. */
  rangeGate: Promise<void> | undefined;
  /** Called with the Range header of each request as it arrives. */
  onRequest: ((range: string | undefined) => void) | undefined;
  /** The next blob download ends well after this many bytes, without Content-Length; used up once per element. */
  shortDownloads: number[];
  /** Blob downloads are redirected: to this URL with the path appended, or in a loop. */
  redirectBlobs: 'foreign' | 'loop' | `${string}://${string}` | undefined;
  /** How upload sessions are named in Location. */
  location: 'absolute' | 'relative' | 'foreign' | `${string}://${string}`;
  /** OCI-Chunk-Min-Length; a shorter chunk must be the last. */
  chunkMinimum: number | undefined;
  /** A PATCH keeps only so many bytes and says so in Range; used up once per element. */
  shortenChunks: number[];
  /** The connection of a PATCH or PUT is cut after so many bytes, which are kept; used up once per element. */
  cutUploads: number[];
  /** The body of a PATCH or PUT is read no further than so many bytes, until the client breaks the connection; used up once per element. */
  stallUploads: number[];
  /** False: a session whose request broke is gone, as in CNCF Distribution. */
  keepsBroken: boolean;
  /** The next blob download continues byte by byte after so many; used up once per element. */
  trickleDownloads: number[];
  /** PUT of a larger blob body is answered with 413. */
  maxPut: number;
  /** Bodies of uploads are not read before it resolves. */
  uploadGate: Promise<void> | undefined;
  /** False: cross-repository mounts fall back to an upload session. */
  mounts: boolean;
  /** What DELETE of a manifest may name. */
  deletes: 'any' | 'digests' | 'none';
  tagPageSize: number;
  /** Link of a tag page: honest, or one that leads back to the same page. */
  tagLinks: 'next' | 'loop';
  /** False: no referrers API and no OCI-Subject header. */
  referrers: boolean;
}

export function defaultBehaviour(): Behaviour {
  return {
    faults: [],
    ranges: true,
    wrongContentRange: false,
    wrongDigestHeader: false,
    digestHeader: true,
    headManifests: true,
    contentType: undefined,
    cutDownloads: [],
    cutRanges: [],
    stallRanges: [],
    pauseWhole: undefined,
    rangeGate: undefined,
    onRequest: undefined,
    shortDownloads: [],
    redirectBlobs: undefined,
    location: 'absolute',
    chunkMinimum: undefined,
    shortenChunks: [],
    cutUploads: [],
    stallUploads: [],
    keepsBroken: true,
    trickleDownloads: [],
    maxPut: Number.POSITIVE_INFINITY,
    uploadGate: undefined,
    mounts: true,
    deletes: 'any',
    tagPageSize: 1000,
    tagLinks: 'next',
    referrers: true,
  };
}

/** True when a fault of the queue has answered the request. */
export async function injectFault({ request, response, registry, entry }: Exchange): Promise<boolean> {
  const { faults } = registry.behaviour;
  registry.behaviour.onRequest?.(request.headers.range);
  const at = faults.findIndex(
    ({ match, range }) => (match?.test(`${entry.method} ${entry.path}`) ?? true) && (range?.test(request.headers.range ?? '') ?? true),
  );
  const fault = faults[at];
  if (fault === undefined) return false;
  if (fault.skip !== undefined && fault.skip > 0) {
    faults[at] = { ...fault, skip: fault.skip - 1 };
    return false;
  }
  faults.splice(at, 1);
  if (fault.status === 'reset') {
    request.socket.destroy();
    return true;
  }
  // a body that is not read to its end could hide the answer behind a connection reset
  for await (const chunk of request) entry.received += (chunk as Uint8Array).byteLength;
  if (fault.body === undefined) fail(response, fault.status, 'UNAVAILABLE', 'injected fault', fault.headers);
  else {
    const headers = { 'Content-Type': 'text/html', 'Content-Length': String(Buffer.byteLength(fault.body)), ...fault.headers };
    response.writeHead(fault.status, headers).end(fault.body);
  }
  return true;
}
