import { safePath } from '../blobs/safe-path.ts';
import { KitError } from '../errors.ts';

export interface HubReference {
  readonly type: 'model' | 'dataset';
  /** `org/name`, or `name` for the oldest ones. */
  readonly id: string;
  /** Branch, tag or commit, where the name gives one. */
  readonly revision: string | undefined;
  /** A file or folder within, where the name gives one. */
  readonly path: string | undefined;
}

const HOSTS: ReadonlySet<string> = new Set(['huggingface.co', 'www.huggingface.co', 'hf.co']);
const ID = /^[A-Za-z0-9_](?:[\w.-]{0,94}\w)?(?:\/\w(?:[\w.-]{0,94}\w)?)?$/;
const FORMS = 'ORG/NAME, datasets/ORG/NAME, hf://... or https://huggingface.co/...';

/** True for a URL of the hub, or of the endpoint that stands for it. */
export function isHubUrl(text: string, endpoint: string): boolean {
  const url = URL.parse(text);
  if (url?.protocol === 'hf:') return true;
  return url !== null && /^https?:$/.test(url.protocol) && (HOSTS.has(url.hostname) || url.origin === URL.parse(endpoint)?.origin);
}

/** `org/name[@revision]`, `datasets/org/name`, `hf://...`, or what the browser shows. @throws KitError REFERENCE_INVALID */
export function parseHubReference(text: string, endpoint: string): HubReference {
  const isUrl = /^https?:\/\//.test(text);
  if (isUrl && !isHubUrl(text, endpoint)) throw invalid(text, 'is not on the Hugging Face hub');
  const path = isUrl ? decoded((URL.parse(text) as URL).pathname, text) : text.replace(/^hf:\/\//, '');
  const segments = path.split('/').filter((segment) => segment !== '');
  const type = segments[0] === 'datasets' ? 'dataset' : 'model';
  if (segments[0] === 'spaces') throw invalid(text, 'is a space; models and datasets can be imported');
  if (segments[0] === 'datasets' || segments[0] === 'models') segments.shift();
  return isUrl ? fromUrl(text, type, segments) : fromName(text, type, segments);
}

// org/name/tree/REVISION/path; a revision with a slash stands there as one segment, escaped
function fromUrl(text: string, type: HubReference['type'], segments: string[]): HubReference {
  const marker = segments.findIndex((segment, index) => (index === 1 || index === 2) && /^(?:tree|blob|resolve)$/.test(segment));
  const id = marker === -1 ? segments : segments.slice(0, marker);
  const [revision, ...rest] = marker === -1 ? [] : segments.slice(marker + 1);
  return { type, id: requireId(id.join('/'), text), revision, path: inside(rest, text) };
}

// the grammar of huggingface_hub's file system: [datasets/]org/name[@revision][/path]
function fromName(text: string, type: HubReference['type'], segments: string[]): HubReference {
  const at = segments.findIndex((segment) => segment.includes('@'));
  const length = at === -1 ? 2 : at + 1;
  const [id = '', revision] = segments.slice(0, length).join('/').split('@', 2);
  return { type, id: requireId(id, text), revision: revision?.replaceAll(/%2F/gi, '/'), path: inside(segments.slice(length), text) };
}

function inside(segments: readonly string[], text: string): string | undefined {
  return segments.length === 0 ? undefined : safePath(segments.join('/'), text);
}

function requireId(id: string, text: string): string {
  if (!ID.test(id) || id.includes('--') || id.includes('..')) throw invalid(text, 'does not name a repository');
  return id;
}

function decoded(path: string, text: string): string {
  try {
    return path
      .split('/')
      .map((segment) => decodeURIComponent(segment))
      .join('/');
  } catch {
    throw invalid(text, 'is not a well-formed URL');
  }
}

function invalid(text: string, why: string): KitError {
  return new KitError('REFERENCE_INVALID', `\`${text}\` ${why}`, { hint: `write ${FORMS}` });
}
