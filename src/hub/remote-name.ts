import { redactUrl } from '../registry/redact.ts';

/** `org/name` of a repository, and where a person finds it: undefined for one of this machine. */
export function remoteName(url: string): { readonly name: string; readonly uri: string | undefined } {
  const parsed = /^[a-z+]+:\/\//.test(url) ? URL.parse(url) : null;
  const scp = parsed === null ? /^[^/:]+@([^/:]+):(.*)$/.exec(url) : null;
  const path = parsed?.pathname ?? scp?.[2] ?? url;
  const segments = path
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/')
    .filter((segment) => segment !== '');
  const isLocal = (parsed === null && scp === null) || parsed?.protocol === 'file:';
  const uri = isLocal ? undefined : scp !== null ? `ssh://${scp[1]}/${scp[2]}` : redactUrl(withoutUser(parsed as URL));
  return { name: segments.slice(isLocal ? -1 : -2).join('/'), uri };
}

function withoutUser(url: URL): URL {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy;
}
