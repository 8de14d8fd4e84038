/** What an operation is doing to a blob. */
export type BlobAction = 'hash' | 'pack' | 'push' | 'pull' | 'unpack';

/** Typed progress. Producers never print; renderers throttle. */
export type KitEvent =
  /** How many blobs are going to be moved or looked at, and their bytes; the blobs follow. */
  | { readonly type: 'plan'; readonly blobs: number; readonly bytes: number }
  | { readonly type: 'blob'; readonly id: string; readonly action: BlobAction; readonly label: string; readonly total: number | undefined }
  /** `delta` is negative when an attempt is undone. */
  | { readonly type: 'bytes'; readonly id: string; readonly delta: number }
  | { readonly type: 'done'; readonly id: string; readonly outcome: 'copied' | 'exists' | 'mounted' | 'skipped' }
  | { readonly type: 'retry'; readonly id: string; readonly attempt: number; readonly delayMs: number; readonly cause: unknown }
  | { readonly type: 'warning'; readonly code: string; readonly message: string }
  /** Of interest to whoever wants to know more. */
  | { readonly type: 'note'; readonly message: string };

/** What every call that moves bytes takes besides its own arguments. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: KitEvent) => void) | undefined;
}
