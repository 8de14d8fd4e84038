import { createKit, type Kit } from '../operations/kit.ts';
import { setFlagsFromString } from 'node:v8';
import type { CallOptions } from '../events.ts';
import type { GlobalFlags } from './options/global.ts';
import { type KitFlags, kitOptions } from './options/network.ts';
import { createProgress, type Progress } from './render/progress.ts';
import { printResult } from './render/text.ts';

/** What a command gets besides its own arguments: made once a run. */
export interface CliContext {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly isInteractive: boolean;
  /** The kit that the flags describe. */
  kit(flags: KitFlags): Kit;
  /** Signal and progress, for the operation that the command calls. */
  readonly call: Required<Pick<CallOptions, 'signal' | 'onEvent'>>;
  /** Data for stdout: as JSON when the user asked for it, else as lines. */
  result(format: string | undefined, data: unknown, lines: readonly string[]): void;
  /** Of the process, where the command ends without an error. Default 0. */
  status: number;
  /** Takes the progress display away, so that a message can follow. */
  progressStop(): void;
  close(): Promise<void>;
}

/** Loads and makes the context. Where it is not called, that much less is loaded. */
export type OpenContext = () => Promise<CliContext>;

export function createContext(globals: GlobalFlags, signal: AbortSignal, env: NodeJS.ProcessEnv): CliContext {
  // made when there is something to show: the stream to the terminal takes time to load
  let progress: Progress | undefined;
  const kits: Kit[] = [];
  const start = (): Progress => {
    // buffers live outside the heap and are freed when the young generation is: a small one frees them soon. What moves no blobs,
    // and so has no events, is slower with it
    setFlagsFromString('--semi-space-growth-factor=1');
    return createProgress(globals, env);
  };
  return {
    status: 0,
    env,
    signal,
    get isInteractive() {
      return process.stdin.isTTY && process.stdout.isTTY && !env['CI'];
    },
    kit(flags) {
      const kit = createKit(kitOptions(globals, flags, env));
      kits.push(kit);
      return kit;
    },
    call: { signal, onEvent: (event) => (progress ??= start()).show(event) },
    result(format, data, lines) {
      progress?.stop();
      printResult(format, data, lines);
    },
    progressStop: () => progress?.stop(),
    async close() {
      progress?.stop();
      await Promise.all(kits.map((kit) => kit.close()));
    },
  };
}
