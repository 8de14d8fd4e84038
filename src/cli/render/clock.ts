/** Time, as far as displays need it: tests turn it by hand. */
export interface Clock {
  /** Milliseconds that only grow. */
  now(): number;
  /** Calls `tick` every `ms` milliseconds until the function that it returns is called. */
  every(ms: number, tick: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  every(ms, tick) {
    // a display never keeps the process alive
    const timer = setInterval(tick, ms).unref();
    return () => clearInterval(timer);
  },
};
