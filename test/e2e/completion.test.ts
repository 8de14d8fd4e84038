import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { sandbox } from '../support/kit.ts';

test('completion prints a script that bash takes', async () => {
  const box = await sandbox();
  const script = await box.ok('completion bash');
  const complete = (...words: readonly string[]): string[] => {
    const ask = `${script}\nCOMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n_kit\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['--norc', '-c', ask, 'bash', 'kit', ...words], { encoding: 'utf8' })
      .split('\n')
      .slice(0, -1);
  };
  expect(complete('un')).toEqual(['unpack']);
  expect(complete('index', 'p')).toEqual(['push', 'pull']);
  expect(complete('-v', 'index', 'add', '--lab')).toEqual(['--label']);
  expect(complete('pack', '--use')).toEqual(['--use-model-pack']);
  expect(complete('pack', '.', 'un')).toEqual(['']); // a file: left to bash
  expect(complete('--log')).toEqual(['--log-level']);
  expect(execFileSync('bash', ['--norc', '-c', `${script}\ncomplete -p kit ocikit`], { encoding: 'utf8' })).toBe(
    'complete -o bashdefault -o default -F _kit kit\ncomplete -o bashdefault -o default -F _kit ocikit\n',
  );
});

test('completion knows zsh and fish, and says so of others', async () => {
  const box = await sandbox();
  expect(await box.ok('completion zsh --no-descriptions')).toMatch(/^#compdef kit ocikit\n/);
  expect(await box.ok('completion fish')).toContain(`complete -c kit -n 'test "$(__kit_at)" = " index push"' -a '--config `);
  expect(await box.kit('completion powershell')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid value \`powershell\` for the shell

    hint: use one of bash, zsh, fish
  `);
});
