/** The errors of the commands that read audit logs. */
import { IntercloudError } from "../../protocols/wire/errors.ts";

export function noAuditLog(where: string, cause?: unknown): IntercloudError {
  const message = `there is no audit log ${where}; a node begins one when it first runs. Check what was named`;
  return new IntercloudError("NO_AUDIT_LOG", "not-found", message, {}, cause);
}

/** The log, or what vouches for it, is not as its node wrote it. */
export function auditBroken(message: string, details: { readonly [name: string]: unknown } = {}): IntercloudError {
  return new IntercloudError("AUDIT_BROKEN", "integrity", message, details);
}

/** @param wanted what it should be, and what makes one. */
export function notAFile(name: string, wanted: string, cause?: unknown): IntercloudError {
  return new IntercloudError("NOT_AN_AUDIT_FILE", "bad-request", `${name} is no ${wanted}`, {}, cause);
}
