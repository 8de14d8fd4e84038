import type { ClientRequest, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Bytes, BytesIterator } from '../blob-source.ts';
import { dropPiece, freePiece, takePiece } from './send-pieces.ts';

/**
 * Writes the body of a request or of an answer, each chunk when the system has taken the last one, and ends it. It leaves off where the
 * answer comes, or the connection ends, before `length` bytes are out: a server that has made up its mind need not take the rest.
 * @param length bytes of the body where they are known
 * @throws what `body` throws
 */
export async function sendBody(outgoing: ClientRequest | ServerResponse, body: Bytes, length: number | undefined): Promise<void> {
  const iterator = body[Symbol.asyncIterator]();
  const ending = new Ending(outgoing);
  let atHand: AtHand | undefined;
  let sent = 0;
  try {
    for (;;) {
      // what is whole is read to its end, which is where a source says that it was changed
      const step = sent === length ? await iterator.next() : await ending.orDone(iterator.next());
      if (step === undefined) break;
      if (step.done === true) return void outgoing.end();
      const chunk = step.value;
      await ending.orDone(new Promise<void>((resolve) => outgoing.write(chunk, () => resolve())));
      sent += chunk.byteLength;
      // a body of unknown length is framed by the request; the head of others is out with the first chunk
      if (length !== undefined && sent < length && outgoing.socket !== null) {
        atHand ??= new AtHand(iterator, ending);
        sent += await atHand.send(outgoing.socket);
      }
      if (ending.isOver && sent !== length) break;
    }
  } finally {
    atHand?.close();
  }
  // not waited for: it may itself be waiting for its next chunk
  iterator.return?.().catch(() => undefined);
}

/** Sends what is to be had without waiting, through one piece of memory. */
class AtHand {
  readonly #iterator: BytesIterator;
  readonly #ending: Ending;
  readonly #piece = takePiece();

  constructor(iterator: BytesIterator, ending: Ending) {
    this.#iterator = iterator;
    this.#ending = ending;
  }

  /** Nothing more is sent. */
  close(): void {
    // an end that came early may have left some of it with the socket
    if (this.#ending.isOver) dropPiece(this.#piece);
    else freePiece(this.#piece);
  }

  /** Returns the number of bytes. @throws what the body throws */
  async send(socket: Socket): Promise<number> {
    let sent = 0;
    // called from the socket at each turn: a promise for each would cost as much as the rest of it
    const over = new Promise<void>((resolve, reject) => {
      let isFull = false;
      const turn = (): void => {
        isFull = false;
        try {
          const count = this.#ending.isOver ? 0 : this.#read();
          if (count === 0) return resolve();
          sent += count;
          socket.write(this.#piece.subarray(0, count), written);
          isFull = socket.writableLength > 0;
          // others have their turn
          if (!isFull) setImmediate(turn);
        } catch (error) {
          reject(error);
        }
      };
      const written = (): void => {
        if (isFull && socket.writableLength === 0) turn();
      };
      turn();
    });
    await this.#ending.orDone(over);
    return sent;
  }

  #read(): number {
    try {
      return this.#iterator.readNow?.(this.#piece) ?? 0;
    } catch (error) {
      // not waited for: the error is told first
      this.#iterator.return?.().catch(() => undefined);
      throw error;
    }
  }
}

/** The answer to a request, or the end of its connection. */
class Ending {
  isOver = false;
  #wake: (() => void) | undefined;

  constructor(outgoing: ClientRequest | ServerResponse) {
    const over = (): void => {
      this.isOver = true;
      this.#wake?.();
    };
    outgoing.once('response', over);
    outgoing.once('close', over);
  }

  /** What `step` gives, or undefined when the end comes first. No Promise.race: it would leave something behind for every chunk. */
  async orDone<T>(step: Promise<T>): Promise<T | undefined> {
    return await new Promise((resolve, reject) => {
      this.#wake = () => resolve(undefined);
      if (this.isOver) this.#wake();
      step.then(resolve, reject);
    });
  }
}
