/** Direct writes slower than this, in bytes a second, are given up: the page cache takes a few gigabytes faster than such a disk. */
const SLOWEST_DIRECT = 100_000_000;
/** Bytes to write before the disk is judged, and for which it is judged anew. */
const WINDOW = 128 * 1024 * 1024;

/**
 * Judges whether writing past the page cache pays on this machine. It goes one way only: a file that is written both ways is
 * slower than either.
 */
export class WritePace {
  #isDirectWorth = true;
  #bytes = 0;
  #busyMs = 0;
  #writing = 0;
  #since = 0;

  get isDirectWorth(): boolean {
    return this.#isDirectWorth;
  }

  /** A direct write begins, at `now` milliseconds. */
  begin(now: number): void {
    if (this.#writing === 0) this.#since = now;
    this.#writing += 1;
  }

  /** It has ended, and `bytes` were written; none where it was refused. */
  end(bytes: number, now: number): void {
    this.#writing -= 1;
    this.#busyMs += now - this.#since;
    this.#since = now;
    this.#bytes += bytes;
    if (this.#bytes < WINDOW) return;
    this.#isDirectWorth &&= this.#bytes / (this.#busyMs / 1000) >= SLOWEST_DIRECT;
    this.#bytes = 0;
    this.#busyMs = 0;
  }
}
