import type { BlobAction, KitEvent } from '../../events.ts';
import { singleLine } from './plain-text.ts';
import { RateWindow } from './rate-window.ts';

/** Chunks are 1 MiB or so: a far larger step is a download that is taken up where it was, and no throughput. */
const MAX_STEP = 64 * 1024 * 1024;

/** A blob in flight. */
export interface Transfer {
  readonly action: BlobAction;
  /** One line, safe to print. */
  readonly label: string;
  readonly total: number | undefined;
  readonly startedAt: number;
  readonly rate: RateWindow;
  /** Bytes that need not be moved any more; falls when an attempt is undone. */
  position: number;
  /** Bytes that went by, repeated ones too. */
  moved: number;
}

/** Keeps the account of all blobs; each event costs the same, however many there are. */
export class Transfers {
  readonly inFlight = new Map<string, Transfer>();
  readonly rate: RateWindow;
  /** Blobs. */
  done = 0;
  /** Bytes of all blobs, and how many they are to become. */
  position = 0;
  #expected = 0;
  #begun = 0;
  #plannedBlobs = 0;
  #plannedBytes = 0;
  #moved = 0;
  #withoutTotal = 0;

  constructor(now: number) {
    this.rate = new RateWindow(now);
  }

  /** Blobs that were begun or announced. */
  get known(): number {
    return this.#begun + this.#plannedBlobs;
  }

  /** Undefined while a blob of unknown size is in flight. */
  get total(): number | undefined {
    return this.#withoutTotal > 0 ? undefined : this.#expected + this.#plannedBytes;
  }

  /** Announces blobs that have not begun. */
  plan({ blobs, bytes }: KitEvent & { type: 'plan' }): void {
    this.#plannedBlobs += blobs;
    this.#plannedBytes += bytes;
  }

  /** An id that is in flight already begins its next phase. */
  begin({ id, action, label, total }: KitEvent & { type: 'blob' }, now: number): void {
    if (!this.#settle(id)) {
      this.#begun++;
      this.#plannedBlobs = Math.max(0, this.#plannedBlobs - 1);
      this.#plannedBytes = this.#plannedBlobs === 0 ? 0 : Math.max(0, this.#plannedBytes - (total ?? 0));
    }
    this.#expected += total ?? 0;
    if (total === undefined) this.#withoutTotal++;
    this.inFlight.set(id, { action, label: singleLine(label), total, startedAt: now, rate: new RateWindow(now), position: 0, moved: 0 });
  }

  add(id: string, delta: number): void {
    const transfer = this.inFlight.get(id);
    if (transfer === undefined) return;
    transfer.position += delta;
    this.position += delta;
    if (delta < 0 || delta > MAX_STEP) return;
    transfer.moved += delta;
    this.#moved += delta;
  }

  /** The transfer that ended; undefined when none was in flight under this id. */
  end(id: string): Transfer | undefined {
    const transfer = this.#settle(id);
    if (transfer !== undefined) this.done++;
    return transfer;
  }

  /** Takes note of where everything is now. Rates are those of the last samples. */
  sample(now: number): void {
    this.rate.sample(now, this.#moved);
    for (const { rate, moved } of this.inFlight.values()) rate.sample(now, moved);
  }

  // what was not moved, because it was there or its size was not known, is not expected any more
  #settle(id: string): Transfer | undefined {
    const transfer = this.inFlight.get(id);
    if (transfer === undefined) return undefined;
    this.inFlight.delete(id);
    this.#expected += transfer.position - (transfer.total ?? 0);
    if (transfer.total === undefined) this.#withoutTotal--;
    return transfer;
  }
}
