import type { Socket } from 'node:net';
import { BodyBuffer } from './body-buffer.ts';
import type { ExchangeLimits } from './exchange.ts';
import { MAX_HEAD_BYTES, parseResponseHead, type ResponseHead } from './response-head.ts';

/** What is read at once while the head is awaited: bytes of the body that come with it have to be copied. */
const HEAD_READ_BYTES = 8 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const IDLE_MS = 10_000;

/** How a socket hands over what it reads: straight into memory of the reader's choice (`onread` of `net.connect`). */
export interface ReadInto {
  readonly buffer: () => Uint8Array;
  readonly callback: (count: number) => boolean;
}

export interface ConnectionOptions {
  /** Opens the socket; it is ready at `readyEvent`. */
  readonly open: (onread: ReadInto) => Socket;
  readonly readyEvent: 'connect' | 'secureConnect';
  readonly limits: ExchangeLimits;
  /** The exchange is over and the connection can carry another. */
  readonly onIdle: (connection: GetConnection) => void;
  readonly onClose: (connection: GetConnection) => void;
}

export interface GetResponse {
  readonly head: ResponseHead;
  readonly body: BodyBuffer;
}

/** The connection was lost before a byte of an answer: on a kept one, the request may be sent again on a fresh one. */
export class Unanswered extends Error {}

/**
 * One connection that carries GET requests, one at a time, and reads the bodies without copying them. It knows only the plain
 * case: for all else `get` says undefined and the connection is closed.
 */
export class GetConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #head = Buffer.allocUnsafeSlow(MAX_HEAD_BYTES);
  #headBytes = 0;
  #state: 'idle' | 'head' | 'body' | 'closed' = 'idle';
  #isConnected = false;
  #pending: PromiseWithResolvers<GetResponse | undefined> | undefined;
  #response: GetResponse | undefined;
  #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = options.open({ buffer: () => this.#space(), callback: (count) => this.#read(count) });
    this.#socket.setNoDelay(true);
    this.#socket.once(options.readyEvent, () => this.#connected());
    this.#socket.on('error', (error) => this.#lost(error));
    this.#socket.once('end', () => this.#lost(broken('the other side closed the connection')));
    this.#socket.once('close', () => this.#lost(broken('the connection was closed')));
    this.#socket.once('timeout', () => this.#close(broken('idle')));
  }

  /** @param request head with the empty line. Undefined when the answer is not of the plain kind. @throws the error of the socket, or Unanswered */
  get(request: string, signal: AbortSignal | undefined): Promise<GetResponse | undefined> {
    this.#pending = Promise.withResolvers();
    const { promise } = this.#pending;
    if (this.#state !== 'idle') {
      this.#pending.reject(new Unanswered());
      return promise;
    }
    this.#state = 'head';
    this.#headBytes = 0;
    this.#socket.ref();
    this.#socket.setTimeout(0);
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#arm(this.#isConnected ? this.#options.limits.silenceMs : this.#options.limits.connectMs);
    this.#socket.write(request, 'latin1');
    return promise;
  }

  close(): void {
    this.#close(broken('the connection was given up'));
  }

  readonly #abort = (): void => this.#close(this.#signal?.reason);

  #connected(): void {
    this.#isConnected = true;
    if (this.#state === 'head') this.#arm(this.#options.limits.silenceMs);
  }

  #space(): Uint8Array {
    const { body } = this.#response ?? {};
    if (this.#state === 'body' && body !== undefined && body.left > 0) return body.space();
    // the last part stands for nothing when the head is too long: then the connection is closed already
    const start = Math.min(this.#headBytes, MAX_HEAD_BYTES - 1);
    return this.#head.subarray(start, start + HEAD_READ_BYTES);
  }

  /** False: stop reading. */
  #read(count: number): boolean {
    if (this.#state === 'head') return this.#readHead(count);
    if (this.#state === 'body') return this.#readBody(count);
    // nothing was asked for: whatever this is, it must not become the answer to the next request
    this.#close(broken('the server sent bytes out of turn'));
    return false;
  }

  #readHead(count: number): boolean {
    const from = Math.max(0, this.#headBytes - HEAD_END.byteLength);
    this.#headBytes += count;
    const end = this.#head.subarray(0, this.#headBytes).indexOf(HEAD_END, from);
    if (end === -1 && this.#headBytes < MAX_HEAD_BYTES) return true;
    const head = end === -1 ? undefined : parseResponseHead(this.#head.subarray(0, end));
    const surplus = this.#head.subarray(end + HEAD_END.byteLength, this.#headBytes);
    // more than the length says: only a parser of HTTP can tell what that means
    if (head === undefined || (surplus.byteLength > head.length && head.isReusable)) {
      this.#pending?.resolve(undefined);
      this.#pending = undefined;
      this.close();
      return false;
    }
    return this.#begin(head, surplus.subarray(0, head.length));
  }

  #begin(head: ResponseHead, first: Uint8Array): boolean {
    const body = new BodyBuffer(head.length, { onDrain: () => this.#resume(), now: () => performance.now() });
    body.append(first);
    this.#response = { head, body };
    this.#state = 'body';
    this.#headBytes = 0;
    this.#pending?.resolve(this.#response);
    this.#pending = undefined;
    this.#arm(this.#options.limits.silenceMs);
    return this.#continue(true);
  }

  #readBody(count: number): boolean {
    return this.#continue(this.#response?.body.filled(count) ?? false);
  }

  #continue(wantsMore: boolean): boolean {
    if (this.#response?.body.left === 0) {
      this.#finish();
      return this.#state !== 'closed';
    }
    if (wantsMore) this.#timer?.refresh();
    else this.#disarm();
    return wantsMore;
  }

  #resume(): void {
    if (this.#state !== 'body') return;
    this.#arm(this.#options.limits.silenceMs);
    this.#socket.resume();
  }

  #finish(): void {
    const isReusable = this.#response?.head.isReusable === true;
    this.#release();
    if (!isReusable) {
      this.close();
      return;
    }
    this.#state = 'idle';
    // an idle connection keeps no process alive
    this.#socket.unref();
    this.#socket.setTimeout(IDLE_MS);
    this.#options.onIdle(this);
  }

  #release(): void {
    this.#disarm();
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#signal = undefined;
    this.#response = undefined;
  }

  /** The network or the other side ended it. */
  #lost(error: Error): void {
    const isUnanswered = this.#state === 'head' && this.#headBytes === 0;
    this.#close(isUnanswered ? new Unanswered('no answer came', { cause: error }) : error);
  }

  #close(error: unknown): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#socket.destroy();
    this.#response?.body.fail(error);
    this.#pending?.reject(error);
    this.#pending = undefined;
    this.#release();
    this.#options.onClose(this);
  }

  #arm(ms: number): void {
    this.#disarm();
    this.#timer = setTimeout(() => this.#close(broken('no bytes came in time', 'ETIMEDOUT')), ms);
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function broken(message: string, code = 'ECONNRESET'): Error {
  return Object.assign(new Error(message), { code });
}
