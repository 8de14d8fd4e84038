import type { FilePosition, MoveResult } from './move.ts';

/** What a thread is told. An update that names a new stream begins it. */
export type ByteRequest =
  | MoveRequest
  | { readonly type: 'update'; readonly stream: number; readonly algorithm: string; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly stream: number }
  | { readonly type: 'abandon'; readonly stream: number }
  | { readonly type: 'write'; readonly fd: number; readonly chunks: readonly Uint8Array[]; readonly position: number };

/** Bytes of a file, to be hashed, and written to another or left in memory; done piece by piece, they do not leave the processor's cache. */
export interface MoveRequest {
  readonly type: 'move';
  readonly stream: number;
  readonly algorithm: string;
  readonly from: FilePosition;
  readonly to: FilePosition | readonly Uint8Array[] | undefined;
  readonly length: number;
}

type Failure = Pick<NodeJS.ErrnoException, 'code' | 'errno' | 'syscall' | 'message'>;

/** The hex digest to `end`, '' to all else but a move, when its bytes are no longer needed; or what the file system said. */
export type Answer = string | MoveResult | { readonly failure: Failure };

/** Runs in the thread, on its own: nothing outside of it can be named. */
export function byteWork(): void {
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { readSync, writeSync } = process.getBuiltinModule('node:fs');
  const threads = process.getBuiltinModule('node:worker_threads');
  const { parentPort } = threads;
  // the page cache gives a write memory in pieces of its size: each processor has a list of those up to this, larger ones are often fresh from the host
  const WRITE = 32 * 1024;
  const piece = new Uint8Array(threads.workerData as ArrayBufferLike);
  const zeros = Buffer.alloc(piece.byteLength);
  const hashes = new Map<number, ReturnType<typeof createHash>>();

  function update(stream: number, algorithm: string, bytes: Uint8Array): void {
    const hash = hashes.get(stream) ?? createHash(algorithm);
    hashes.set(stream, hash.update(bytes));
  }

  function write(fd: number, bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.byteLength;) {
      done += writeSync(fd, bytes, done, Math.min(WRITE, bytes.byteLength - done), position + done);
    }
  }

  function isHole(bytes: Uint8Array): boolean {
    const { byteLength } = bytes;
    return byteLength === piece.byteLength && bytes[0] === 0 && bytes[byteLength - 1] === 0 && zeros.equals(bytes);
  }

  function move({ stream, algorithm, from, to, length }: MoveRequest): MoveResult {
    let bytes = 0;
    let writtenTo = 0;
    let readMs = 0;
    const file = to !== undefined && 'fd' in to ? to : undefined;
    for (const space of to === undefined || 'fd' in to ? pieces(length) : to) {
      for (let done = 0; done < space.byteLength;) {
        const part = space.subarray(done, done + piece.byteLength);
        const began = performance.now();
        const count = readSync(from.fd, part, 0, part.byteLength, from.position + bytes);
        readMs += performance.now() - began;
        if (count === 0) return { bytes, writtenTo, readMs };
        const read = part.subarray(0, count);
        update(stream, algorithm, read);
        if (file !== undefined && !isHole(read)) {
          write(file.fd, read, file.position + bytes);
          writtenTo = file.position + bytes + count;
        }
        bytes += count;
        done += count;
      }
    }
    return { bytes, writtenTo, readMs };
  }

  /** The same memory again and again, `length` bytes in all. */
  function* pieces(length: number): Generator<Uint8Array> {
    for (let left = length; left > 0; left -= piece.byteLength) yield piece.subarray(0, left);
  }

  function answer(request: ByteRequest): string | MoveResult {
    if (request.type === 'move') return move(request);
    if (request.type === 'write') {
      let { position } = request;
      for (const bytes of request.chunks) {
        write(request.fd, bytes, position);
        position += bytes.byteLength;
      }
      return '';
    }
    if (request.type === 'update') {
      update(request.stream, request.algorithm, request.bytes);
      return '';
    }
    const hex = request.type === 'end' ? hashes.get(request.stream)?.digest('hex') : undefined;
    hashes.delete(request.stream);
    return hex ?? '';
  }

  function attempt(request: ByteRequest): Answer {
    try {
      return answer(request);
    } catch (error) {
      const { code, errno, syscall, message } = error as NodeJS.ErrnoException;
      return { failure: { code, errno, syscall, message } };
    }
  }

  parentPort?.on('message', (requests: readonly ByteRequest[]) => {
    let answers: Answer[] = [];
    for (const request of requests) {
      answers.push(attempt(request));
      // what takes long is told at once, so that more is asked for while the rest is done
      if (request.type !== 'move') continue;
      parentPort.postMessage(answers);
      answers = [];
    }
    if (answers.length > 0) parentPort.postMessage(answers);
  });
}
