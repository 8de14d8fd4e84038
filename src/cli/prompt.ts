import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { KitError } from '../errors.ts';

/** Asks on the terminal. @throws KitError USAGE where there is none */
export async function ask(question: string, { hidden = false }: { hidden?: boolean } = {}): Promise<string> {
  if (!process.stdin.isTTY)
    throw new KitError('USAGE', `cannot ask for the ${question.replace(': ', '').toLowerCase()}: standard input is not a terminal`, {
      hint: 'give it by options; `--help` lists them',
    });
  // what is typed is echoed by readline itself, so it must not reach the terminal when hidden
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
  const prompt = createInterface({ input: process.stdin, output, terminal: true });
  // now that nothing typed is echoed by the terminal
  process.stderr.write(question);
  try {
    return await prompt.question('');
  } finally {
    prompt.close();
    if (hidden) process.stderr.write('\n');
  }
}
