import { readVerified } from '../../blobs/verified.ts';
import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ReadTarget } from '../../targets/types.ts';

/** The first guess at where a header ends: most are shorter, and a request costs more than the bytes. */
export const FIRST_READ = 256 * 1024;
/** A blob that is so small is read as a whole, and so can be verified. */
const WHOLE_BYTES = 1024 * 1024;
/** Of all headers of one artifact together. */
const MAX_BYTES = 256 * 1024 * 1024;

/** What was read of layers, for one artifact or for all that one call looks at. */
export interface ReadTally {
  requests: number;
  bytes: number;
}

/** Reads parts of a blob. It keeps the last part, so that what lies close together costs one request. */
export class BlobReader {
  readonly blob: Descriptor;
  readonly #target: Pick<ReadTarget, 'fetch'>;
  readonly #tally: ReadTally;
  readonly #call: CallOptions;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(target: Pick<ReadTarget, 'fetch'>, blob: Descriptor, tally: ReadTally, call: CallOptions) {
    this.#target = target;
    this.blob = blob;
    this.#tally = tally;
    this.#call = call;
  }

  /** True when what is read is checked against the digest: parts of a larger blob cannot be. */
  get isVerified(): boolean {
    return this.blob.size <= WHOLE_BYTES;
  }

  /** The bytes [start, end). @throws KitError SIZE_MISMATCH, and UNSUPPORTED where the source sends whole blobs only */
  async read(start: number, end: number): Promise<Buffer> {
    const windowEnd = this.#start + this.#window.byteLength;
    const isInside = start >= this.#start && start <= windowEnd && this.#window.byteLength > 0;
    if (!isInside) {
      const until = this.isVerified ? this.blob.size : Math.min(this.blob.size, Math.max(end, start + FIRST_READ));
      const from = this.isVerified ? 0 : start;
      this.#window = await this.#fetch(from, until);
      this.#start = from;
    } else if (end > windowEnd) {
      // a header that is longer than the guess says how long it is: exactly that is read
      const rest = await this.#fetch(windowEnd, end);
      this.#window = Buffer.concat([this.#window.subarray(start - this.#start), rest]);
      this.#start = start;
    }
    return this.#window.subarray(start - this.#start, end - this.#start);
  }

  /** Bytes from `start` on: those at hand, else as many as `ahead`. `start` lies within the blob. */
  async from(start: number, ahead: number): Promise<Buffer> {
    const isAtHand = start >= this.#start && start < this.#start + this.#window.byteLength;
    if (!isAtHand) await this.read(start, Math.min(this.blob.size, start + ahead));
    return this.#window.subarray(start - this.#start);
  }

  async #fetch(start: number, end: number): Promise<Buffer> {
    this.#tally.requests += 1;
    this.#tally.bytes += end - start;
    if (this.#tally.bytes > MAX_BYTES) {
      throw new KitError('LIMIT_EXCEEDED', `${this.blob.digest}: the headers have more than ${MAX_BYTES} bytes together`, {
        hint: '`kit unpack` gets the files themselves',
      });
    }
    if (this.isVerified) return await readVerified(await this.#target.fetch(this.blob, this.#call), this.blob, WHOLE_BYTES);
    const parts: Buffer[] = [];
    let size = 0;
    for await (const chunk of await this.#target.fetch(this.blob, { ...this.#call, range: { start, end, isExact: true } })) {
      parts.push(Buffer.from(chunk));
      size += chunk.byteLength;
      releaseChunk(chunk);
    }
    if (size === end - start) return Buffer.concat(parts);
    throw new KitError('SIZE_MISMATCH', `${this.blob.digest}: asked for bytes ${start} to ${end} and got ${size} of them`, {
      hint: 'the layer is shorter than its manifest says, or was cut off; pull it again, or ask for it to be pushed again',
    });
  }
}
