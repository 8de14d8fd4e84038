import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { ServedContent } from './content.ts';
import type { NamedRepository } from './named-repository.ts';
import type { UploadSessions } from './upload-sessions.ts';
import type { WriteLease } from './write-lease.ts';

/** What all requests to one server share. */
export interface ServerState {
  readonly content: ServedContent;
  readonly isReadOnly: boolean;
  /** How long a client may stand still, in milliseconds. */
  readonly idleMs: number;
  readonly sessions: UploadSessions;
  readonly lease: WriteLease;
  /** Runs one after the other what looks at what is there and then changes it. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

/** One request and what is answered to it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** The names under which this server is called. */
  readonly hosts: readonly string[];
  readonly server: ServerState;
}

/** An exchange about one repository. */
export interface RepositoryExchange extends Exchange {
  /** As in the path. */
  readonly name: string;
  readonly repository: NamedRepository;
}

export function sendEmpty({ response }: Exchange, status: number, headers: OutgoingHttpHeaders = {}): void {
  response.writeHead(status, status === 204 || status === 304 ? headers : { 'Content-Length': '0', ...headers }).end();
}

export function sendJson({ request, response }: Exchange, value: unknown, headers: OutgoingHttpHeaders = {}, status = 200): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': String(body.byteLength), ...headers });
  response.end(request.method === 'HEAD' ? undefined : body);
}
