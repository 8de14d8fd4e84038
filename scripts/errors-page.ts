import { CODES, EXIT, type ExitClass } from '../src/errors.ts';

const CLASSES: Readonly<Record<ExitClass, string>> = {
  failure: 'what was asked could not be done',
  usage: 'the command line, a reference or a Kitfile is wrong',
  notFound: 'something that was named does not exist',
  auth: 'the registry refuses the credentials',
  network: 'the registry cannot be reached or does not keep to the protocol',
  integrity: 'content is damaged, contradicts itself or is unsafe: nothing of it was used',
  internal: 'a defect of kit',
  interrupted: 'stopped with Ctrl-C',
};

/** docs/errors.md */
export function errorsPage(): string {
  const statuses = Object.entries(EXIT).map(([name, status]) => `| ${status} | ${CLASSES[name as ExitClass]} |`);
  const codes = Object.entries(CODES).map(([code, { exit, meaning }]) => `| \`${code}\` | ${EXIT[exit]} | ${meaning} |`);
  return `# Errors

Made by \`npm run docs\` from src/errors.ts.

Errors go to stderr as \`error: MESSAGE\`, then a blank line and \`hint: WHAT TO DO\`. The message names the path, reference or digest.
With \`-v\` it ends in the code, and causes follow. In the API an error is a \`KitError\` with \`code\`, \`hint\` and \`exitCode\`.

## Exit status

| status | meaning |
|---|---|
| 0 | done |
${statuses.join('\n')}

## Codes

| code | exit status | meaning |
|---|---|---|
${codes.join('\n')}
`;
}
