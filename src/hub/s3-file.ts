import type { RemoteFile } from './remote-file.ts';
import { formatS3, judgeS3, type S3, type S3Object } from './s3-client.ts';
import type { Verdict } from './web-failure.ts';
import { readWebFile } from './web-file.ts';
import type { WebHttp } from './web-http.ts';

/** An object as a file of a web server: resumed and over several connections, as every other. `path` is checked. */
export function s3File(s3: S3, http: WebHttp, object: S3Object, path: string): RemoteFile {
  const { size, etag } = object;
  const subject = formatS3(object);
  return {
    path,
    size,
    mode: 0o644,
    digest: object.digest ?? undefined,
    blobId: undefined,
    etag,
    lookUpDigest: object.digest === null ? async (call) => (await s3.head(object, call)).digest ?? undefined : undefined,
    async *open(range, call) {
      const { url } = await s3.signedGet(object, call);
      const sign = async (): Promise<Readonly<Record<string, string>>> => (await s3.signedGet(object, call)).headers;
      yield* readWebFile({ http, url, subject, size, sign, explain: ({ status }) => verdict(status) }, range, call);
    },
  };

  function verdict(status: number): Verdict | undefined {
    const judged = judgeS3(status, object);
    if (judged === undefined) return undefined;
    const [code, message, options] = judged;
    return { code, message, ...(options?.hint !== undefined && { hint: options.hint }) };
  }
}
