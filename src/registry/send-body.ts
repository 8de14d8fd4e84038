import type { ClientRequest } from 'node:http';
import type { Bytes } from '../blobs/source.ts';

/**
 * Writes a body, each chunk when the system has taken the last one, and ends the request. It leaves off where the answer comes, or the
 * connection ends, before `length` bytes are out: a server that has made up its mind need not take the rest.
 * @param length bytes of the body where they are known
 * @throws what `body` throws
 */
export async function sendBody(outgoing: ClientRequest, body: Bytes, length: number | undefined): Promise<void> {
  const iterator = body[Symbol.asyncIterator]();
  let sent = 0;
  let isOver = false;
  let wake: (() => void) | undefined;
  const over = (): void => {
    isOver = true;
    wake?.();
  };
  outgoing.once('response', over);
  outgoing.once('close', over);
  for (;;) {
    // what is whole is read to its end, which is where a source says that it was changed
    const step = sent === length ? await iterator.next() : await untilOver(iterator.next());
    if (step === undefined) break;
    if (step.done === true) return void outgoing.end();
    const chunk = step.value;
    await untilOver(new Promise<void>((resolve) => outgoing.write(chunk, () => resolve())));
    sent += chunk.byteLength;
    if (isOver && sent !== length) break;
  }
  // not waited for: it may itself be waiting for its next chunk
  iterator.return?.().catch(() => undefined);

  // no Promise.race: it would leave something behind for every chunk
  async function untilOver<T>(step: Promise<T>): Promise<T | undefined> {
    return await new Promise((resolve, reject) => {
      wake = () => resolve(undefined);
      if (isOver) wake();
      step.then(resolve, reject);
    });
  }
}
