import { createKit, type Kit } from '../operations/kit.ts';
import type { CallOptions } from '../events.ts';
import type { GlobalFlags } from './options/global.ts';
import { type KitFlags, kitOptions } from './options/network.ts';
import { createProgress, type Progress } from './render/progress.ts';
import { printJson, printLine } from './render/text.ts';

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
  /** Takes the progress display away, so that a message can follow. */
  progressStop(): void;
  close(): Promise<void>;
}

export function createContext(globals: GlobalFlags, signal: AbortSignal, env: NodeJS.ProcessEnv): CliContext {
  const progress: Progress = createProgress(globals, env);
  const kits: Kit[] = [];
  return {
    env,
    signal,
    isInteractive: process.stdin.isTTY && process.stdout.isTTY && !env['CI'],
    kit(flags) {
      const kit = createKit(kitOptions(globals, flags, env));
      kits.push(kit);
      return kit;
    },
    call: { signal, onEvent: (event) => progress.show(event) },
    result(format, data, lines) {
      progress.stop();
      if (format === 'json') printJson(data);
      else for (const line of lines) printLine(line);
    },
    progressStop: () => progress.stop(),
    async close() {
      progress.stop();
      await Promise.all(kits.map((kit) => kit.close()));
    },
  };
}
