// Search runs in a Worker, and browsers start none for a page that was opened as a file.
// Such a page gets one that lives in a hidden frame instead; its name keeps the theme from
// loading another from the network.
class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    this.ready = new Promise((done) => frame.addEventListener("load", done, { once: true }));
    frame.srcdoc = `<script>
      postMessage = (message) => parent.postMessage(message, "*");
      importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = done;
        document.head.append(script);
      })), Promise.resolve());
    </script><script src="${url}"></script>`;
    document.body.append(frame);
    this.frame = frame;
    window.addEventListener("message", (event) => {
      if (event.source !== frame.contentWindow) return;
      this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      if (this.onmessage) this.onmessage(event);
    });
  }
  postMessage(message) {
    this.ready.then(() => this.frame.contentWindow.postMessage(message, "*"));
  }
  terminate() {
    this.frame.remove();
  }
}
if (location.protocol === "file:") window.Worker = FrameWorker;
