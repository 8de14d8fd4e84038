import type { ByteRange, Bytes } from '../blob-source.ts';
import { CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { BlobParts } from './blob-parts.ts';
import { reading, type RepositoryContext, repositoryUrl, subjectOf } from './context.ts';
import type { RangeParts } from './range-parts.ts';
import { RangePlanner } from './range-planner.ts';
import { SegmentWindow } from './segment-window.ts';
import { Setbacks } from './setbacks.ts';
import { TransientError } from './transient.ts';

/** HEAD /v2/NAME/blobs/DIGEST */
export async function hasBlob(context: RepositoryContext, blob: Descriptor, call: CallOptions): Promise<boolean> {
  const response = await context.http.request({
    ...reading(context, call),
    method: 'HEAD',
    url: repositoryUrl(context, `blobs/${blob.digest}`),
    subject: subjectOf(context, 'blob', blob.digest),
    accept: [200, 404],
  });
  await response.discard();
  return response.status === 200;
}

/**
 * GET /v2/NAME/blobs/DIGEST, of the whole blob or of `range`. The bytes are not verified here, but they are those of the
 * range: an answer that ignores it is cut to it. A download that breaks goes on where it stopped; one that a link slows down
 * goes on over several connections where the registry knows ranges.
 * @throws KitError BLOB_NOT_FOUND | SIZE_MISMATCH | REGISTRY_ERROR | NETWORK
 */
export async function fetchBlob(
  context: RepositoryContext,
  blob: Descriptor,
  range: ByteRange | undefined,
  call: CallOptions,
): Promise<Bytes> {
  const start = Math.min(range?.start ?? 0, blob.size);
  const end = Math.min(range?.end ?? blob.size, blob.size);
  // nothing to ask for; an empty blob as a whole is still asked for, so that a missing one is noticed
  if (range !== undefined && start >= end) return nothing();
  return await downloadRange(new BlobParts(context, blob, call), { ...range, start, end });
}

/** The bytes of `range`, resumed and over several connections as above, of whatever can be asked for by range. */
export async function downloadRange(parts: RangeParts, range: ByteRange): Promise<Bytes> {
  const asked = performance.now();
  const first = await parts.open(range);
  const planner = new RangePlanner(parts.context.http.rangeBudget.limits, () => performance.now(), performance.now() - asked);
  return new Download(parts, planner, range).read(first);
}

/** The bytes of one blob in order, from one connection or several. */
class Download {
  readonly #parts: RangeParts;
  readonly #planner: RangePlanner;
  readonly #end: number;
  #position: number;

  constructor(parts: RangeParts, planner: RangePlanner, { start, end }: ByteRange) {
    this.#parts = parts;
    this.#planner = planner;
    this.#position = start;
    this.#end = end;
  }

  async *read(first: Bytes): AsyncGenerator<Uint8Array, void, undefined> {
    const { rangeBudget } = this.#parts.context.http;
    rangeBudget.blobs += 1;
    try {
      for (let bytes = first; ; bytes = await this.#parts.open({ start: this.#position, end: this.#end })) {
        const window = yield* this.#single(bytes);
        if (window === undefined) return;
        try {
          this.#position = yield* window.read();
        } finally {
          await window.close();
        }
        if (this.#position >= this.#end) return;
        if (window.state === 'refused') this.#planner.refused();
      }
    } finally {
      rangeBudget.blobs -= 1;
    }
  }

  /** Reads one connection to the end, or to where a window goes on. */
  async *#single(first: Bytes): AsyncGenerator<Uint8Array, SegmentWindow | undefined, undefined> {
    const stream = resumable(this.#parts, { start: this.#position, end: this.#end }, first);
    let window: SegmentWindow | undefined;
    let busyMs = 0;
    try {
      for (;;) {
        const asked = performance.now();
        const { value: chunk, done } = await stream.next();
        if (done === true) return undefined;
        const got = performance.now();
        this.#planner.received(chunk.byteLength, got - asked, busyMs);
        const gap = window === undefined ? Number.POSITIVE_INFINITY : window.start - this.#position;
        if (window !== undefined && (window.state === 'refused' || window.state === 'failed' || chunk.byteLength >= gap)) {
          if (window.state === 'open') {
            this.#position += gap;
            if (gap > 0) yield chunk.subarray(0, gap);
            else releaseChunk(chunk);
            const next = window;
            window = undefined;
            return next;
          }
          await window.close();
          if (window.state === 'refused') this.#planner.refused();
          else this.#planner.late();
          window = undefined;
        }
        this.#position += chunk.byteLength;
        yield chunk;
        busyMs = performance.now() - got;
        window ??= this.#split();
      }
    } finally {
      await window?.close();
      await stream.return();
    }
  }

  #split(): SegmentWindow | undefined {
    const budget = this.#parts.context.http.rangeBudget;
    if (!this.#parts.hasRanges || !this.#planner.shouldSplit(this.#end - this.#position, budget.blobs)) return undefined;
    // whole chunks from the beginning of the blob on: they can be written past the page cache
    const start = Math.ceil((this.#position + this.#planner.ahead()) / CHUNK_BYTES) * CHUNK_BYTES;
    if (start >= this.#end) return undefined;
    return new SegmentWindow({ parts: this.#parts, planner: this.#planner, budget, start, end: this.#end });
  }
}

/** One connection at a time, and another where it breaks. */
async function* resumable(parts: RangeParts, { start, end }: ByteRange, first: Bytes): AsyncGenerator<Uint8Array, void, undefined> {
  const { call, context, blob } = parts;
  const setbacks = new Setbacks({ ...call, sleep: context.http.sleep, id: blob.digest }, start);
  let position = start;
  let bytes: Bytes | undefined = first;
  for (;;) {
    try {
      bytes ??= await parts.reopen({ start: position, end });
      for await (const chunk of bytes) {
        position += chunk.byteLength;
        yield chunk;
      }
      // a surplus is passed on: whoever verifies the bytes tells
      if (position >= end) return;
      throw parts.cutOff(position, end);
    } catch (error) {
      call.signal?.throwIfAborted();
      if (position >= end && error instanceof TransientError) return;
      await setbacks.endure(error, position);
      bytes = undefined;
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
