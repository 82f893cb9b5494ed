// Uploads from a page with a progress bar. The answer describes what arrived; nothing is kept:
//
//   deno run --allow-net examples/upload.ts
//
// Then open http://127.0.0.1:8000, or: curl -F file=@README.md http://127.0.0.1:8000/upload. Ctrl-C stops it.

import { HTTPError, HTTPListener } from "../mod.ts";

/** The maximum size of an upload in bytes; a larger one is answered with 413. */
const MAX_UPLOAD = 64 * 1024 * 1024;

const PAGE = `<!doctype html>
<title>Upload</title>
<form id="form">
  <input type="file" name="file" required>
  <button>Upload</button>
</form>
<progress id="bar" value="0"></progress>
<output id="result"></output>
<script>
  form.onsubmit = (event) => {
    event.preventDefault();
    // fetch() does not report upload progress.
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => {
      bar.max = total;
      bar.value = loaded;
    };
    request.onload = () => result.textContent = request.responseText;
    request.onerror = () => result.textContent = "The upload failed";
    request.open("POST", "/upload");
    request.send(new FormData(form));
  };
</script>
`;

export const app = new HTTPListener({ port: 8000, maxBodySize: MAX_UPLOAD });

app.onEvent("GET:/", ({ ctx }) => {
  return ctx.response(200, PAGE, { "Content-Type": "text/html; charset=utf-8" });
});

app.onEvent("POST:/upload", async ({ ctx }) => {
  const file = (await ctx.formData()).get("file");
  if (!(file instanceof File)) throw new HTTPError(400, 'The form has no file called "file"');
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.bytes())).toHex();
  return ctx.response(200, `${file.name}: ${file.size} bytes, SHA-256 ${hash}`);
});

if (import.meta.main) await app.run();
