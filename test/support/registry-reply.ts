import type { ServerResponse } from 'node:http';

export function sendJson(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': String(body.byteLength), ...headers }).end(body);
}

/** The error body of the distribution spec. */
export function fail(response: ServerResponse, status: number, code: string, message: string, headers: Record<string, string> = {}): void {
  sendJson(response, status, { errors: [{ code, message, detail: null }] }, headers);
}
