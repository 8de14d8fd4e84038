let isGuarded = false;

/** Where messages and progress go. A reader that goes away does not stop the work. */
export function stderrStream(): NodeJS.WriteStream {
  if (!isGuarded) process.stderr.on('error', () => undefined);
  isGuarded = true;
  return process.stderr;
}
