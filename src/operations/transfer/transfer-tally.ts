import type { CallOptions, KitEvent } from '../../events.ts';

/** Blobs and manifests, and their bytes. */
export interface Amount {
  readonly count: number;
  readonly bytes: number;
}

export interface Tally {
  /** What was sent through this machine. */
  readonly moved: Amount;
  /** What the registry took over from another of its repositories. */
  readonly mounted: Amount;
  /** What was there already. */
  readonly skipped: Amount;
}

const NOTHING: Amount = { count: 0, bytes: 0 };

/** Watches the events of a transfer and adds up what became of each blob. */
export class TransferTally {
  #tally: Tally = { moved: NOTHING, mounted: NOTHING, skipped: NOTHING };
  readonly #sizes = new Map<string, number>();

  /** `call` with the events passing by here. */
  watch(call: CallOptions): CallOptions {
    return {
      ...call,
      onEvent: (event) => {
        this.#note(event);
        call.onEvent?.(event);
      },
    };
  }

  get result(): Tally {
    return this.#tally;
  }

  #note(event: KitEvent): void {
    if (event.type === 'blob') this.#sizes.set(event.id, event.total ?? 0);
    if (event.type !== 'done') return;
    const kind = event.outcome === 'copied' ? 'moved' : event.outcome === 'mounted' ? 'mounted' : 'skipped';
    const { count, bytes } = this.#tally[kind];
    this.#tally = { ...this.#tally, [kind]: { count: count + 1, bytes: bytes + (this.#sizes.get(event.id) ?? 0) } };
  }
}
