import * as z from 'zod';
import { safePath } from '../blobs/safe-path.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { isDigest } from '../oci/digest.ts';
import { readLimited } from '../registry/body.ts';
import { findCached } from './hub-cache.ts';
import { HubFile } from './hub-file.ts';
import type { HubReference } from './hub-reference.ts';
import type { HubSettings } from './hub-settings.ts';
import type { Explain, Verdict } from './web-failure.ts';
import type { WebHttp } from './web-http.ts';

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const MAX_PAGES = 2000;
const MAX_FILES = 500_000;

const text = z.string().optional().catch(undefined);
const about = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40,64}$/),
  library_name: text,
  cardData: z
    .looseObject({
      license: z
        .union([z.string(), z.array(z.string())])
        .optional()
        .catch(undefined),
      license_name: text,
      library_name: text,
      pretty_name: text,
    })
    .nullish()
    .catch(undefined),
});

const treeEntry = z.looseObject({
  type: z.string(),
  path: z.string(),
  oid: z.string().optional(),
  size: z.int().nonnegative().optional(),
  lfs: z.looseObject({ oid: z.string(), size: z.int().nonnegative() }).nullish(),
});
type TreeEntry = z.infer<typeof treeEntry>;

/** What the hub says of one revision. */
export interface HubRevision {
  readonly reference: HubReference;
  /** The commit. */
  readonly sha: string;
  /** The repository, where a person finds it. */
  readonly page: string;
  /** As the card has it: not SPDX. */
  readonly license: string | undefined;
  readonly library: string | undefined;
  readonly title: string | undefined;
}

/** One Hugging Face hub, or what speaks its API. */
export class HubClient {
  readonly #http: WebHttp;
  readonly #settings: HubSettings;

  constructor(http: WebHttp, settings: HubSettings) {
    this.#http = http;
    this.#settings = settings;
  }

  /** @param revision branch, tag, commit or pull request (`refs/pr/1`) @throws KitError REFERENCE_NOT_FOUND | DENIED | UNAUTHORIZED ... */
  async revision(reference: HubReference, revision: string, call: CallOptions): Promise<HubRevision> {
    const url = this.#api(reference, `revision/${encodeURIComponent(revision)}`);
    const { value } = await this.#json(url, reference, revision, call);
    const found = about.safeParse(value);
    if (!found.success) throw malformed(url, 'gives no commit');
    const { sha, cardData, library_name: library } = found.data;
    const license = cardData?.license;
    const named = Array.isArray(license) ? license[0] : license;
    return {
      reference,
      sha,
      page: this.#repository(reference),
      license: named === 'other' ? (cardData?.license_name ?? named) : named,
      library: cardData?.library_name ?? library,
      title: cardData?.pretty_name,
    };
  }

  /** All files of a revision, however many pages they fill. @throws KitError UNSAFE_PATH | LIMIT_EXCEEDED ... */
  async files({ reference, sha }: HubRevision, call: CallOptions): Promise<HubFile[]> {
    const files: HubFile[] = [];
    const seen = new Set<string>();
    let next: URL | undefined = this.#api(reference, `tree/${sha}?recursive=true&expand=false`);
    for (let page = 0; next !== undefined; page++) {
      if (page >= MAX_PAGES || files.length > MAX_FILES)
        throw new KitError('LIMIT_EXCEEDED', `${reference.id} has more than ${MAX_FILES} files, or its list has no end`);
      const { value, link } = await this.#json(next, reference, sha, call);
      const entries = z.array(treeEntry).safeParse(value);
      if (!entries.success) throw malformed(next, 'is no list of files');
      for (const entry of entries.data.filter(({ type }) => type === 'file')) {
        const file = await this.#file(reference, sha, entry);
        if (seen.has(file.path)) throw malformed(next, `names ${file.path} twice`);
        seen.add(file.path);
        files.push(file);
      }
      next = this.#nextPage(next, link);
    }
    return files;
  }

  async #file(reference: HubReference, sha: string, { path: written, oid, size = 0, lfs }: TreeEntry): Promise<HubFile> {
    const path = safePath(written, `${reference.id} on the hub`);
    if (path !== written) throw malformed(this.#api(reference, `tree/${sha}`), `names the odd path ${JSON.stringify(written)}`);
    const digest: unknown = lfs ? `sha256:${lfs.oid}` : undefined;
    if (digest !== undefined && !isDigest(digest)) throw malformed(this.#api(reference, `tree/${sha}`), `gives no SHA-256 for ${path}`);
    const isGitId = lfs === undefined || lfs === null ? /^[0-9a-f]{40}$/.test(oid ?? '') : false;
    const ids = { digest, blobId: isGitId ? oid : undefined };
    const length = lfs?.size ?? size;
    const escaped = path.split('/').map(encodeURIComponent).join('/');
    return new HubFile({
      ...ids,
      path,
      size: length,
      copy: await findCached(this.#settings.cache, reference, lfs?.oid ?? (isGitId ? oid : undefined), length),
      web: {
        http: this.#http,
        url: new URL(`${this.#repository(reference)}/resolve/${sha}/${escaped}`),
        subject: `${reference.id}/${path}`,
        size: length,
        authorization: this.#authorization,
        explain: this.#explain(reference, sha),
      },
    });
  }

  async #json(
    url: URL,
    reference: HubReference,
    revision: string,
    call: CallOptions,
  ): Promise<{ value: unknown; link: string | undefined }> {
    const response = await this.#http.request({
      url,
      subject: reference.id,
      authorization: this.#authorization,
      headers: { accept: 'application/json' },
      explain: this.#explain(reference, revision),
      call,
    });
    const body = await readLimited(response.body, MAX_ANSWER_BYTES, url.pathname);
    try {
      return { value: JSON.parse(body.toString()), link: response.header('link') };
    } catch {
      throw malformed(url, 'is no JSON');
    }
  }

  get #authorization(): string | undefined {
    return this.#settings.token === undefined ? undefined : `Bearer ${this.#settings.token}`;
  }

  #repository({ type, id }: HubReference): string {
    return `${this.#settings.endpoint}/${type === 'dataset' ? 'datasets/' : ''}${id}`;
  }

  #api({ type, id }: HubReference, tail: string): URL {
    return new URL(`${this.#settings.endpoint}/api/${type}s/${id}/${tail}`);
  }

  /** `Link: <...>; rel="next"` (RFC 8288), which must lead to the hub itself: the token goes along. */
  #nextPage(from: URL, link: string | undefined): URL | undefined {
    const target = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(link ?? '')?.[1];
    if (target === undefined) return undefined;
    const url = URL.parse(target, from.href);
    if (url === null || url.host !== from.host) throw malformed(from, 'goes on at another host');
    // behind a proxy that ends TLS a hub may name itself by http
    url.protocol = from.protocol;
    return url;
  }

  /** https://huggingface.co/docs/hub/api: the hub says what is wrong in X-Error-Code. */
  #explain(reference: HubReference, revision: string): Explain {
    const page = this.#repository(reference);
    const hasToken = this.#settings.token !== undefined;
    return ({ status, header }, isTrusted) => (isTrusted ? judge({ status, header, page, hasToken, revision, reference }) : undefined);
  }
}

interface Refusal {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly page: string;
  readonly hasToken: boolean;
  readonly revision: string;
  readonly reference: HubReference;
}

function judge(refusal: Refusal): Verdict | undefined {
  const { header, page, hasToken, revision, reference } = refusal;
  const token = hasToken ? 'check that the token may read it' : 'pass a token of an account that may read it by `--token` or $HF_TOKEN';
  switch (header('x-error-code')) {
    case 'GatedRepo':
      return {
        code: 'DENIED',
        message: 'it is gated: access has to be asked for',
        hint: `accept its license at ${page}${hasToken ? ' with the account of the token' : ', then pass a token by `--token` or $HF_TOKEN'}`,
      };
    case 'RepoNotFound':
      return {
        code: 'REFERENCE_NOT_FOUND',
        message: `there is no such ${reference.type} at ${page}, or it is private`,
        hint: otherKind(reference, token),
      };
    case 'RevisionNotFound':
      return {
        code: 'REFERENCE_NOT_FOUND',
        message: `it has no revision \`${revision}\``,
        hint: `${page}/commits lists its revisions; give one by \`--ref\``,
      };
    case 'EntryNotFound':
      return { code: 'PATH_NOT_FOUND', message: `revision \`${revision}\` has no such file` };
    case 'DisabledRepo':
      return { code: 'DENIED', message: 'the hub has disabled it' };
    default:
      return judgeStatus(refusal, token);
  }
}

function judgeStatus({ status, page, hasToken, reference }: Refusal, token: string): Verdict | undefined {
  if (status === 401)
    return { code: 'UNAUTHORIZED', message: hasToken ? 'the hub does not take the token' : 'the hub wants a token', hint: token };
  if (status === 403) return { code: 'DENIED', message: 'the hub denies access', hint: token };
  if (status === 404)
    return { code: 'REFERENCE_NOT_FOUND', message: `there is no such ${reference.type} at ${page}`, hint: otherKind(reference, token) };
  return undefined;
}

function otherKind({ type, id }: HubReference, token: string): string {
  return type === 'model' ? `${token}; a dataset is written datasets/${id}` : token;
}

function malformed(url: URL, why: string): KitError {
  return new KitError('REGISTRY_ERROR', `${url.host}: the answer to ${url.pathname} ${why}`);
}
