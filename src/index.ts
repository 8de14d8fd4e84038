/** The public API: each command of `kit` as a typed function. */
export { CODES, EXIT, type ErrorCode, isKitError, KitError } from './errors.ts';
export type { CallOptions, KitEvent } from './events.ts';
export type { Kitfile } from './kitfile/types.ts';
export { parseKitfile } from './kitfile/parse.ts';
export { printKitfile } from './kitfile/print.ts';
export { formatLocation, formatReference, type Location, parseLocation, parseReference, type Reference } from './oci/reference.ts';
export { type ConvertFormat } from './operations/convert/content.ts';
export { type ModelcarArguments } from './operations/convert/modelcar.ts';
export { catalogSync, type CatalogSyncArguments, type CatalogSyncResult } from './operations/query/catalog-sync.ts';
export { type Converted, convert, type ConvertArguments, type ConvertedLayer } from './operations/convert/convert.ts';
export { type Copied, copy, type CopyArguments } from './operations/transfer/copy.ts';
export type { Admit } from './operations/artifact/admission.ts';
export { admitSigned } from './operations/sign/admit-signed.ts';
export { attest, type AttestArguments, type AttestResult } from './operations/sign/attest.ts';
export type { Attached, SignatureFormat } from './operations/sign/attach-signed.ts';
export { audit, type AuditArguments } from './operations/audit/audit.ts';
export type {
  AuditedArtifact,
  AuditEvent,
  AuditEvidence,
  AuditLayer,
  AuditMaterial,
  AuditReport,
  MissingFact,
  Trust,
} from './operations/audit/report.ts';
export { type CacheInfo, cacheInfo, clearCache } from './operations/store/cache.ts';
export { cat, type CatArguments, type CatResult } from './operations/inspect/cat.ts';
export { type ComparedArtifact, diff, type DiffArguments, type DiffResult } from './operations/diff/diff.ts';
export type { IndexesDiff, IndexMember, MemberPair } from './operations/diff/indexes.ts';
export type { DiffSide, DiffSides } from './operations/diff/sides.ts';
export type { FilesDiff } from './operations/diff/files.ts';
export { type Attachment, download, type DownloadArguments, type Downloaded, type DownloadResult } from './operations/sign/download.ts';
export { files, type FilesArguments, type FilesResult, type ListedLayer } from './operations/inspect/files.ts';
export { type Filter, type FilterType, parseFilter } from './operations/artifact/filter.ts';
export { generate, type GenerateArguments, type GenerateResult, type GenerateTemplate } from './operations/generate/generate.ts';
export { generateKeyPair, type KeyPairArguments, type KeyPairResult } from './operations/sign/generate-key-pair.ts';
export {
  gitopsPull,
  type GitopsPullArguments,
  type GitopsPullResult,
  gitopsPush,
  type GitopsPushArguments,
  type GitopsPushResult,
} from './operations/gitops/gitops.ts';
export { history, type HistoryArguments, type HistoryEntry, type HistoryResult } from './operations/history/history.ts';
export { init, type InitArguments, type InitResult } from './operations/pack/init.ts';
export { importProvenance } from './operations/import/provenance.ts';
export { importModel, type ImportArguments, type ImportResult } from './operations/import/import.ts';
export { initRemote, type InitRemoteArguments } from './operations/import/init-remote.ts';
export { info, type InfoResult, inspect, type InspectResult } from './operations/inspect/inspect.ts';
export { createKit, type Kit, type KitOptions } from './operations/kit.ts';
export type { ListEntry } from './operations/list/entry.ts';
export { type IndexInfo, indexInfo, inspectIndex, type ListedIndex, listIndexes } from './operations/model-index/model-index.ts';
export {
  addToIndex,
  type AddToIndexArguments,
  createIndex,
  type DeletedIndex,
  deleteIndex,
  deleteIndexes,
  type EditedIndex,
  removeFromIndex,
} from './operations/model-index/edit.ts';
export { pullIndex, pullVariant } from './operations/model-index/pull.ts';
export { pushIndex } from './operations/model-index/push.ts';
export { listLocal } from './operations/list/local.ts';
export { listLocation } from './operations/list/location.ts';
export type { LayerFile } from './operations/artifact/layer-files.ts';
export type { ListedFile } from './operations/remote-content/listed.ts';
export { load, type LoadArguments, type Loaded } from './operations/transfer/load.ts';
export { login, type LoginArguments, logout } from './operations/login.ts';
export { type Migrated, migrate, type MigrateArguments } from './operations/store/migrate.ts';
export { pack, type PackArguments, type PackResult } from './operations/pack/pack.ts';
export { attachProvenance, type ProvenanceArguments, type ProvenanceResult } from './operations/pack/provenance.ts';
export type { PolicyFile } from './operations/policy/admit-policies.ts';
export { admitPolicies } from './operations/policy/admit-policies.ts';
export {
  checkPolicy,
  type CheckPolicyArguments,
  policyInput,
  type PolicyReport,
  type PolicyResult,
  requirePolicies,
} from './operations/policy/policy.ts';
export { judgeFiles } from './operations/policy/documents.ts';
export { type PolicyCase, testPolicies } from './operations/policy/test.ts';
export { promote, type PromoteArguments, type PromoteResult } from './operations/promote/promote.ts';
export { findKitfile, type KitfileText } from './operations/pack/read-kitfile.ts';
export { remove, removeAll, removeRemote, type RemoveResult } from './operations/store/remove.ts';
export { query, type QueryArguments, type QueryLook, type QueryResult } from './operations/query/query.ts';
export { rollback, type RollbackArguments, type RollbackResult } from './operations/promote/rollback.ts';
export { save, type SaveArguments, type Saved } from './operations/transfer/save.ts';
export { serve, type ServeArguments, type Serving } from './operations/serve.ts';
export { sign, type SignArguments, type Signed, type SignResult } from './operations/sign/sign.ts';
export { selectField } from './operations/query/select-field.ts';
export { checkStore, requireSound, type StoreCheckArguments, type StoreCheckResult } from './operations/store/check.ts';
export { storeInfo, type StoreInfo } from './operations/store/info.ts';
export { pruneStore, type StorePruneArguments, type StorePruneResult } from './operations/store/prune.ts';
export { tag, type TagResult } from './operations/store/tag.ts';
export { pull } from './operations/transfer/pull.ts';
export { push, type PushArguments, type Transferred } from './operations/transfer/push.ts';
export { inspectTensors, type TensorsOptions, type TensorsResult } from './operations/tensors/tensors.ts';
export { diffTensors, type DiffTensorsArguments, type PlacedTensor, type TensorsDiff } from './operations/diff/tensors.ts';
export { lineage, type LineageArguments, type LineageNode, type LineageResult } from './operations/tree/tree.ts';
export {
  signDirectory,
  type SignDirectoryArguments,
  type SignDirectoryResult,
  signModel,
  type SignModelArguments,
  type SignModelResult,
} from './operations/sign/oms-sign.ts';
export {
  findModelSignature,
  type FoundModelSignature,
  verifyDirectory,
  type VerifyDirectoryArguments,
  type VerifyDirectoryResult,
  verifyModel,
  type VerifyModelArguments,
  type VerifyModelResult,
} from './operations/sign/oms-verify.ts';
export { sbom, type SbomArguments, type SbomFormat, type SbomResult } from './operations/sbom/sbom.ts';
export { unpackSkills, type UnpackSkillsArguments, type UnpackSkillsResult } from './operations/skill/unpack-skills.ts';
export { unpack, type UnpackArguments, type UnpackResult } from './operations/unpack/unpack.ts';
export { type ChosenVariant, chooseVariant } from './operations/model-index/variant.ts';
export { parseAnnotationEdits, parseLabelEdits } from './operations/model-index/variant-labels.ts';
export {
  describeRefusal,
  describeSignature,
  findSignatures,
  requireVerified,
  verify,
  type VerifyArguments,
  type VerifyResult,
} from './operations/sign/verify.ts';
export {
  findAttestations,
  requireAttested,
  verifyAttestation,
  type VerifyAttestationArguments,
  type VerifyAttestationResult,
} from './operations/sign/verify-attestation.ts';
export { version, type VersionResult } from './operations/version.ts';
export type { AttestationReport } from './signing/check-attestations.ts';
export type { SignatureReport } from './signing/check-signatures.ts';
export type { IdentityRequirement, Wanted } from './signing/identity-verifier.ts';
export { openKeyVerifier } from './signing/key-verifier.ts';
export { openSigner, type SignerSource } from './signing/open-signer.ts';
export { openVerifier, type VerifierSource } from './signing/open-verifier.ts';
export { type KeySignerOptions, openKeySigner } from './signing/private-key.ts';
export type { SignedBytes, Signer } from './signing/signer.ts';
export type { TrustSource } from './signing/trusted-root.ts';
export type { Signatory, SignedContent, Verifier } from './signing/verifier.ts';
