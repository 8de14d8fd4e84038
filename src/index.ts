/** The public API: each command of `kit` as a typed function. */
export { CODES, EXIT, type ErrorCode, isKitError, KitError } from './errors.ts';
export type { CallOptions, KitEvent } from './events.ts';
export type { Kitfile } from './kitfile/types.ts';
export { parseKitfile } from './kitfile/parse.ts';
export { printKitfile } from './kitfile/print.ts';
export { formatLocation, formatReference, type Location, parseLocation, parseReference, type Reference } from './oci/reference.ts';
export { diff, type DiffResult, type DiffSide } from './operations/diff.ts';
export { type Filter, type FilterType, parseFilter } from './operations/filter.ts';
export { init, type InitArguments, type InitResult } from './operations/init.ts';
export { info, type InfoResult, inspect, type InspectResult } from './operations/inspect.ts';
export { createKit, type Kit, type KitOptions } from './operations/kit.ts';
export { type ListEntry, listLocal, listLocation } from './operations/list.ts';
export { login, type LoginArguments, logout } from './operations/login.ts';
export { pack, type PackArguments, type PackResult } from './operations/pack.ts';
export { findKitfile, type KitfileText } from './operations/read-kitfile.ts';
export { remove, removeAll, removeRemote, type RemoveResult } from './operations/remove.ts';
export { selectField } from './operations/select-field.ts';
export { tag, type TagResult } from './operations/tag.ts';
export { pull, push, type PushArguments, type Transferred } from './operations/transfer.ts';
export { unpack, type UnpackArguments, type UnpackResult } from './operations/unpack.ts';
export {
  describeRefusal,
  describeSignature,
  findSignatures,
  requireVerified,
  verify,
  type VerifyArguments,
  type VerifyResult,
} from './operations/verify.ts';
export { version, type VersionResult } from './operations/version.ts';
export type { SignatureReport } from './signing/check-signatures.ts';
