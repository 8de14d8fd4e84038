/** What can stand after a command, or after `kit` where the path is empty. */
export interface Completions {
  /** `index add` */
  readonly path: string;
  readonly words: readonly string[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The script that completes commands and flags in a shell, and file names elsewhere. It asks nothing of `kit` when it runs. */
export function completionScript(shell: Shell, names: readonly string[], completions: readonly Completions[]): string {
  // a path has a blank before each of its words, as the loops below put it together
  const table = completions.map(({ path, words }) => ({ path: path === '' ? '' : ` ${path}`, words: words.join(' ') }));
  return SCRIPTS[shell](names.join(' '), table);
}

type Table = readonly { readonly path: string; readonly words: string }[];

/** Of sh, bash and zsh: which command the words up to here name, and what can follow. */
function caseStatements(table: Table): readonly [find: string, list: string] {
  const paths = table.flatMap(({ path }) => (path === '' ? [] : [`'${path}'`]));
  return [
    `    case "$at $word" in\n      ${paths.join('|')}) at="$at $word" ;;\n    esac`,
    table.map(({ path, words }) => `    '${path}') list='${words}' ;;`).join('\n'),
  ];
}

function bash(names: string, table: Table): string {
  const [find, list] = caseStatements(table);
  return `# bash: source <(kit completion bash)
_kit() {
  local at='' list='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${find}
  done
  case "$at" in
${list}
  esac
  COMPREPLY=($(compgen -W "$list" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _kit ${names}`;
}

function zsh(names: string, table: Table): string {
  const [find, list] = caseStatements(table);
  return `#compdef ${names}
# zsh: source <(kit completion zsh), after compinit; or save it as _kit in a folder of $fpath
_kit() {
  local at='' list='' word
  for word in "\${(@)words[2,CURRENT-1]}"; do
${find}
  done
  case "$at" in
${list}
  esac
  compadd -- \${=list}
  [[ -z $at || $PREFIX == -* ]] || _files
}
if [[ $funcstack[1] == _kit ]]; then _kit "$@"; else compdef _kit ${names}; fi`;
}

function fish(names: string, table: Table): string {
  const paths = table.flatMap(({ path }) => (path === '' ? [] : [`'${path}'`]));
  const rules = names.split(' ').flatMap((name) =>
    table.map(({ path, words }) => {
      // a file can be meant wherever a command is complete
      const files = path === '' ? ' -f' : '';
      return `complete -c ${name}${files} -n 'test "$(__kit_at)" = "${path}"' -a '${words}'`;
    }),
  );
  return `# fish: kit completion fish | source
function __kit_at
  set -l at ''
  set -l words (commandline -opc)
  for word in $words[2..-1]
    switch "$at $word"
      case ${paths.join(' ')}
        set at "$at $word"
    end
  end
  printf '%s' $at
end
${rules.join('\n')}`;
}

const SCRIPTS: Readonly<Record<Shell, (names: string, table: Table) => string>> = { bash, zsh, fish };
