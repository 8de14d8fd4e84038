/** What displays need of stderr. */
export interface OutputStream {
  readonly isTTY?: boolean | undefined;
  /** Size of the terminal now; absent or 0 where it is not known. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}
