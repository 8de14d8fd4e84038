/** So much out of the page cache takes a tenth of this time: where it took longer and the process has read from a disk, it was for that. */
const WINDOW_BYTES = 4 * 1024 * 1024;
const DISK_MS = 4;
/** For this long other programs do not have the processor: it was a disk, or a file system on a network, whose reads are not counted. */
const LONG_MS = 16;
/** So many times in a row: once may be another program's turn on the processor. */
const SLOW_WINDOWS = 2;
/** Chunks that threads read until the page cache is tried again; twice as many each time that it was slow. */
const CHUNKS_BY_THREAD = 128;

const paces = new WeakMap<object, ReadPace>();

/** That of the file, or the part of one, that `blob` stands for: a range of it need not find out anew what the one before did. */
export function paceOf(blob: object): ReadPace {
  const pace = paces.get(blob) ?? new ReadPace();
  paces.set(blob, pace);
  return pace;
}

/** Whether the page cache has a file. */
export class ReadPace {
  /** Chunks that are still to be read by threads. */
  #byThread = 0;
  /** What it is set to next. */
  #patience = CHUNKS_BY_THREAD;
  /** What was read at hand since that was last judged, and the time that took. */
  #window = { bytes: 0, ms: 0 };
  #slowWindows = 0;
  #diskReads = countDiskReads();

  /** Reading at hand has to wait for a disk. */
  get isSlow(): boolean {
    return this.#byThread > 0;
  }

  /** A chunk was read by a thread. */
  readChunk(): void {
    if (this.#byThread > 0) this.#byThread -= 1;
  }

  /** `bytes` were read at hand, or moved. Into fresh memory that may take as long as from a network: then only counted reads tell. */
  readNow(bytes: number, tookMs: number, isFresh = false): void {
    const longMs = isFresh ? Number.POSITIVE_INFINITY : LONG_MS;
    const window = { bytes: this.#window.bytes + bytes, ms: this.#window.ms + tookMs };
    if (window.bytes < WINDOW_BYTES && window.ms <= longMs) {
      this.#window = window;
      return;
    }
    this.#window = { bytes: 0, ms: 0 };
    const before = this.#diskReads;
    this.#diskReads = countDiskReads();
    // several windows may be read in one go
    const ms = (window.ms * WINDOW_BYTES) / Math.max(WINDOW_BYTES, window.bytes);
    const isSlow = ms > longMs || (ms > DISK_MS && this.#diskReads > before);
    this.#slowWindows = isSlow ? this.#slowWindows + 1 : 0;
    if (this.#slowWindows < SLOW_WINDOWS) return;
    this.#slowWindows = 0;
    this.#byThread = this.#patience;
    this.#patience *= 2;
  }
}

/** Of this process, from any disk. */
function countDiskReads(): number {
  return process.resourceUsage().fsRead;
}
