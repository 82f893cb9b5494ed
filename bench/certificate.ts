// A certificate for localhost that nobody has signed, made anew for each run.

import { outputOf } from "./command.ts";

/** Makes it, and its key, as files in a folder. */
export async function makeCertificate(folder: string): Promise<{ cert: string; key: string }> {
  const files = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  await outputOf([
    "openssl",
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
    // Else it is a CA's own certificate, which is not taken for a server's.
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-keyout", files.key, "-out", files.cert],
  ]);
  return files;
}
