import type { RangeLimits } from './range-planner.ts';

/** Bytes of all blobs of the process that are reserved for what arrives before its turn. */
let reserved = 0;

/** What the blobs that one client reads share: connections, and a part of the process's memory. */
export class RangeBudget {
  readonly limits: RangeLimits;
  /** Blobs that are being read. */
  blobs = 0;
  #connections = 0;

  constructor(limits: RangeLimits) {
    this.limits = limits;
  }

  /** Reserves a connection and memory. With `isNeeded` it always does: each blob has to get on. */
  take(bytes: number, isNeeded: boolean): boolean {
    const { connections, windowBytes } = this.limits;
    if (!isNeeded && (this.#connections >= connections || reserved + bytes > windowBytes)) return false;
    this.#connections += 1;
    reserved += bytes;
    return true;
  }

  /** A connection of `take` is over. */
  giveConnection(): void {
    this.#connections -= 1;
  }

  /** Bytes of `take` were passed on, or will not come. */
  giveBytes(bytes: number): void {
    reserved -= bytes;
  }

  /** For tests and reports: what is taken now. */
  get taken(): { readonly connections: number; readonly bytes: number } {
    return { connections: this.#connections, bytes: reserved };
  }
}
