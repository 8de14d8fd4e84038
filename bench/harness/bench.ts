import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CP, CP_REFLINK, copyFolder, hashMemory, hasReflinks, SHA256, SHA256_TWICE } from './limits.ts';
import { describeMachine } from './machine.ts';
import { type Sample, stopRunning } from './measure.ts';
import { type Columns, LIMIT, OURS, Results } from './table.ts';

/** Takes a sample of a step, unless this round only warms up. A peer that fails is named below the table and loses the row. */
export type Recorder = (step: string, who: string, sample: () => Promise<Sample>) => Promise<void>;

export interface Bench {
  /** A folder of this run below --dir; it goes away at the end. */
  readonly work: string;
  path(...parts: string[]): string;
  /** Deletes folders below `work`. */
  clear(...names: string[]): void;
  /** One round that is not counted (index 0), then `runs`. */
  rounds(round: (record: Recorder, index: number) => Promise<void>): Promise<void>;
  /** A line below the table, once for a `subject`. */
  note(subject: string, text: string): void;
}

export interface BenchOptions extends Columns {
  /** What is measured, for the line above the table. */
  readonly title: string;
  readonly dir: string;
  readonly runs: number;
  /** False: the first round counts (default true). */
  readonly warmUp?: boolean;
}

/** Runs a bench and prints its table; progress goes to stderr. Temporary files go away also after a failure or an interrupt. */
export async function runBench(options: BenchOptions, body: (bench: Bench) => Promise<void>): Promise<void> {
  const work = mkdtempSync(join(options.dir, 'kit-bench-'));
  const results = new Results(options);
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      interrupted.abort(new Error('interrupted'));
      stopRunning();
    });
  }
  const bench: Bench = {
    work,
    path: (...parts) => join(work, ...parts),
    clear: (...names) => {
      for (const name of names) rmSync(join(work, name), { recursive: true, force: true });
    },
    rounds: async (round) => {
      for (let index = options.warmUp === false ? 1 : 0; index <= options.runs; index++) {
        await round(recorder(results, index === 0 ? 'warm-up' : `run ${index} of ${options.runs}`, index > 0, interrupted.signal), index);
      }
    },
    note: (subject, text) => results.note(subject, text),
  };
  try {
    await body(bench);
    console.log(
      `${options.title}, median of ${options.runs} ${options.runs === 1 ? 'run' : 'runs'}\n${describeMachine(options.dir)}\n\n${results.render()}`,
    );
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = interrupted.signal.aborted ? 130 : 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function recorder(results: Results, round: string, isCounted: boolean, interrupted: AbortSignal): Recorder {
  return async (step, who, take) => {
    interrupted.throwIfAborted();
    try {
      const sample = await take();
      results.add(step, who, isCounted ? sample : undefined);
      process.stderr.write(`${round}: ${step}, ${who}: ${sample.seconds.toFixed(2)} s\n`);
    } catch (error) {
      interrupted.throwIfAborted();
      if (who === OURS || who === LIMIT) throw error;
      results.note(`${step}, ${who}`, error instanceof Error ? error.message : String(error));
    }
  };
}

/** `list`, begun at another place each round: nobody is always the one that comes after a certain other. */
export function rotated<Item>(list: readonly Item[], round: number): Item[] {
  const start = round % Math.max(list.length, 1);
  return [...list.slice(start), ...list.slice(0, start)];
}

/** The rows of what the machine can do with a folder of `size` bytes: copy it, and hash as much on one thread and on two. */
export async function recordLimits(bench: Bench, record: Recorder, folder: string, size: number): Promise<void> {
  const canReflink = hasReflinks(bench.work);
  await record(CP, LIMIT, () => copyFolder(folder, bench.work, canReflink ? 'never' : undefined));
  if (canReflink) await record(CP_REFLINK, LIMIT, () => copyFolder(folder, bench.work, 'always'));
  await record(SHA256, LIMIT, () => hashMemory(size, 1));
  await record(SHA256_TWICE, LIMIT, () => hashMemory(size, 2));
}
