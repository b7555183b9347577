import { IntercloudError } from "../wire/errors.ts";

export function notAnAgeFile(): IntercloudError {
  const message =
    "this is not an age file: one starts with age-encryption.org/v1, or is armored; give what `encrypt` made";
  return new IntercloudError("NOT_AN_AGE_FILE", "bad-request", message);
}

export function headerDamaged(why: string): IntercloudError {
  const message = `the header of this age file is damaged: ${why}; get the file again from where you keep it`;
  return new IntercloudError("HEADER_DAMAGED", "integrity", message);
}

export function headerForged(): IntercloudError {
  const message =
    "the header of this age file was changed after it was made; get the file again from where you keep it";
  return new IntercloudError("HEADER_FORGED", "integrity", message);
}
