import { allocateChunk, pageAligned, releaseChunk } from '../chunk.ts';

/** More than the system takes at once: it comes for the rest by itself, and code that has to be fetched into the cache anew runs once a piece. */
export const PIECE_BYTES = 4 * 1024 * 1024;
/** So many bodies at once have one of their own, which a server may have more of. */
const PIECES = 8;

const freePieces: Uint8Array[] = [];
/** In use and free. */
let pieces = 0;

/** Memory for what is sent: 4 MiB, or a chunk where many have some already. To be given to `freePiece` or `dropPiece`. */
export function takePiece(): Uint8Array {
  const free = freePieces.pop();
  if (free !== undefined) return free;
  if (pieces === PIECES) return allocateChunk();
  pieces += 1;
  return new Uint8Array(pageAligned(PIECE_BYTES));
}

/** Nobody reads it any more. */
export function freePiece(piece: Uint8Array): void {
  if (piece.byteLength === PIECE_BYTES) freePieces.push(piece);
  else releaseChunk(piece);
}

/** Somebody may still read it: it is left to the garbage collector. */
export function dropPiece(piece: Uint8Array): void {
  if (piece.byteLength === PIECE_BYTES) pieces -= 1;
}
