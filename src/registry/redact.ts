/** A URL for messages: without user info, and without the values of the query, which may be signatures. */
export function redactUrl(url: URL): string {
  const keys = [...new Set(url.searchParams.keys())];
  const query = keys.map((key) => `${encodeURIComponent(key)}=...`).join('&');
  return `${url.origin}${url.pathname}${query === '' ? '' : `?${query}`}`;
}

const MAX_TEXT = 300;

/** Text of a registry for messages: one short line without control characters or terminal sequences. */
export function plainText(text: string): string {
  // C0, DEL and C1 controls, and the marks that change the direction of text
  // oxlint-disable-next-line no-control-regex
  const clean = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\s]+/gu, ' ').trim();
  return clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT).toWellFormed()}...` : clean;
}
