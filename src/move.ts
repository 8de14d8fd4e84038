/** An open file, and where in it. */
export interface FilePosition {
  readonly fd: number;
  readonly position: number;
}

/** What is to become of bytes that another thread reads. */
export interface Move {
  /** Where they are to be written; or they are to be handed out, or hashed and no more. */
  readonly to: FilePosition | 'memory' | 'nowhere';
  /** How many at most. */
  readonly limit: number;
  /** How many of them at a time. */
  readonly step: number;
  /** Whoever hashes them on the way. */
  readonly mover?: Mover;
  /** What to throw for an error of the file that is written. */
  readonly failed: (error: unknown) => unknown;
}

/** What bytes do that can be moved; whoever passes bytes on has it where they do. */
export type MoveBytes = (move: Move) => Promise<Moved | undefined>;

export interface Moved {
  readonly bytes: number;
  /** Where in the new file the last of them ends that was written: zeros after it were left to be a hole. */
  readonly writtenTo: number;
  /** Those that were to be handed out; they belong to the receiver. */
  readonly chunks: readonly Uint8Array[];
}

/** A running hash whose thread reads what it hashes. */
export interface Mover {
  /** True when it hashes on a thread. */
  readonly hasThread: boolean;
  /** False while other processors idle: bytes are written sooner then when one reads, one hashes and one writes them. */
  readonly isReady: boolean;
  /**
   * @param to a file, memory that is shared, or nowhere
   * @throws the errors of the file system; `syscall` says which of the two files they are about
   */
  move(from: FilePosition, to: FilePosition | readonly Uint8Array[] | undefined, length: number): Promise<MoveResult>;
}

export interface MoveResult {
  /** Fewer than were asked for where the file ended. */
  readonly bytes: number;
  /** See Moved. */
  readonly writtenTo: number;
  /** Time that reading took. */
  readonly readMs: number;
}
