// Sends files with byte-level progress. fetch() has none, so this is XMLHttpRequest.
const RETRY_PAUSES_MS = [1000, 3000, 8000];

function sendOnce(form, { onProgress, onRequest, key }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    onRequest?.(request);
    request.open("POST", "/api/v1/jobs");
    request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf);
    request.setRequestHeader("Idempotency-Key", key);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    });
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.response);
      else reject(Object.assign(new Error("refused"), { problem: request.response, status: request.status }));
    });
    request.addEventListener("error", () => reject(new Error("network")));
    request.addEventListener("abort", () => reject(new Error("aborted")));
    request.send(form);
  });
}

/** Submit one job; a broken connection or a busy server is tried again with the same key. */
export async function submitJob(form, callbacks) {
  const key = `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
  for (const pause of [...RETRY_PAUSES_MS, null]) {
    try {
      return await sendOnce(form, { ...callbacks, key });
    } catch (error) {
      const temporary = error.message === "network" || error.status === 503 || error.status === 429;
      if (!temporary || pause === null) throw error;
      callbacks.onWait?.(pause);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return null;
}
