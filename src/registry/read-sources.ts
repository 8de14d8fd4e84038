import type { ByteRange, Bytes } from '../blob-source.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { RepositoryContext } from './context.ts';
import { fetchBlob } from './download.ts';

/** What a mirror does not have. */
class Missing extends KitError {}

/**
 * The places that one repository is read from, in order: its mirrors, then the registry itself. Whatever fails at one is asked of the
 * next. A place that cannot be reached is not asked again in this run.
 */
export class ReadSources {
  readonly #contexts: readonly RepositoryContext[];
  readonly #unreachable: Set<string>;
  #announced: RepositoryContext | undefined;

  /** @param unreachable origins; shared by all repositories of a client */
  constructor(contexts: readonly RepositoryContext[], unreachable: Set<string>) {
    this.#contexts = contexts;
    this.#unreachable = unreachable;
  }

  /** What the first place that can answers. @throws KitError of the registry itself, with what the mirrors said */
  async first<T>(call: CallOptions, read: (context: RepositoryContext) => Promise<T>): Promise<T> {
    return (await this.#from(0, call, read)).value;
  }

  /** True where one place has it. */
  async some(call: CallOptions, has: (context: RepositoryContext) => Promise<boolean>): Promise<boolean> {
    try {
      await this.#from(0, call, async (context) => {
        if (!(await has(context))) throw new Missing('BLOB_NOT_FOUND', `${context.name}: not here`);
      });
      return true;
    } catch (error) {
      if (error instanceof Missing) return false;
      throw error;
    }
  }

  /** The bytes of `range`; a place that fails in the middle is followed by the next, from there on. */
  async fetchBlob(blob: Descriptor, range: ByteRange | undefined, call: CallOptions): Promise<Bytes> {
    const { value, index } = await this.#from(0, call, async (context) => await fetchBlob(context, blob, range, call));
    return index === this.#contexts.length - 1 ? value : this.#continued(value, index, { blob, range, call });
  }

  /**
   * A list as the registry itself has it: a mirror knows only what went through it, and is asked where the registry cannot be reached.
   * @throws KitError of the registry itself
   */
  async *list<T>(call: CallOptions, read: (context: RepositoryContext) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const order = this.#contexts.toSorted((a, b) => Number(a.isMirror ?? false) - Number(b.isMirror ?? false));
    let first: unknown;
    for (const context of order) {
      let hasBegun = false;
      try {
        for await (const item of read(context)) {
          hasBegun = true;
          yield item;
        }
        return;
      } catch (error) {
        call.signal?.throwIfAborted();
        if (hasBegun || (first === undefined && !isUnreachable(error))) throw error;
        first ??= error;
      }
    }
    throw first;
  }

  async *#continued(
    begun: Bytes,
    at: number,
    { blob, range, call }: { readonly blob: Descriptor; readonly range: ByteRange | undefined; readonly call: CallOptions },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const end = Math.min(range?.end ?? blob.size, blob.size);
    let position = range?.start ?? 0;
    let [bytes, index] = [begun, at];
    for (;;) {
      try {
        for await (const chunk of bytes) {
          position += chunk.byteLength;
          yield chunk;
        }
        return;
      } catch (error) {
        call.signal?.throwIfAborted();
        const next = this.#after(index, error);
        if (next === undefined || position >= end) throw error;
        this.#tell(index, error, call);
        const rest = { start: position, end };
        ({ value: bytes, index } = await this.#from(next, call, async (context) => await fetchBlob(context, blob, rest, call)));
      }
    }
  }

  async #from<T>(
    start: number,
    call: CallOptions,
    read: (context: RepositoryContext) => Promise<T>,
  ): Promise<{ readonly value: T; readonly index: number }> {
    const failures: unknown[] = [];
    for (let index = start; ;) {
      const context = this.#contexts[index];
      if (context === undefined) throw new KitError('INTERNAL', 'nowhere to read from');
      const isLast = index === this.#contexts.length - 1;
      if (!isLast && this.#unreachable.has(context.endpoint.origin)) {
        index += 1;
        continue;
      }
      try {
        const value = await read(context);
        this.#announce(context, call);
        return { value, index };
      } catch (error) {
        call.signal?.throwIfAborted();
        const next = this.#after(index, error);
        if (next === undefined) throw withFailures(error, failures);
        this.#tell(index, error, call);
        failures.push(error);
        index = next;
      }
    }
  }

  /** Where to go on after a failure; undefined when nothing is left. */
  #after(index: number, error: unknown): number | undefined {
    if (!isKitError(error)) return undefined;
    let next = index + 1;
    // it has answered: what follows is the same place over http
    while (!isUnreachable(error) && this.#contexts[next]?.endpoint.registry === this.#contexts[index]?.endpoint.registry) next += 1;
    return next < this.#contexts.length ? next : undefined;
  }

  #tell(index: number, error: unknown, call: CallOptions): void {
    const context = this.#contexts[index] as RepositoryContext;
    const said = error instanceof Error ? error.message : String(error);
    if (isUnreachable(error)) {
      // another request may have found out at the same time
      if (this.#unreachable.has(context.endpoint.origin)) return;
      this.#unreachable.add(context.endpoint.origin);
      const isTriedAgain = this.#contexts[index + 1]?.endpoint.registry === context.endpoint.registry;
      if (context.isMirror === true && !isTriedAgain) {
        call.onEvent?.({ type: 'warning', code: 'MIRROR_UNREACHABLE', message: `mirror ${context.name} is left out: ${said}` });
        return;
      }
    } else if (isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) {
      call.onEvent?.({ type: 'warning', code: error.code, message: `mirror ${context.name} has other content: ${said}` });
      return;
    }
    call.onEvent?.({ type: 'note', message: `${context.name}: going on elsewhere: ${said}` });
  }

  #announce(context: RepositoryContext, call: CallOptions): void {
    if (this.#announced === context || this.#contexts.length === 1) return;
    this.#announced = context;
    const what = context.isMirror === true ? 'mirror' : 'registry';
    call.onEvent?.({ type: 'note', message: `reading from ${what} ${context.name} (${context.endpoint.origin})` });
  }
}

function isUnreachable(error: unknown): boolean {
  return isKitError(error, 'NETWORK', 'TLS_FAILED');
}

function withFailures(error: unknown, failures: readonly unknown[]): unknown {
  if (!isKitError(error) || error instanceof Missing || failures.length === 0) return error;
  const said = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))).join('; ');
  return new KitError(error.code, `${error.message}; tried before: ${said}`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}
